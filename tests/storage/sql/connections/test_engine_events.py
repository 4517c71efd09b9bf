"""Events of a service's engine and of its pool stop no call, and what they set stays."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SessionManager, SqlStorageProvider, StorageError, StorageUnavailableError
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import increment, new_chat
from tests.storage.sql.connections.listening import on_connect, run_sql
from tests.storage.sql.connections.places import Place, assert_committed
from tests.support.bystander import dsn
from tests.support.databases import driven


@pytest.mark.parametrize("moment", ["connect", "first_connect", "checkout", "checkin", "reset"])
async def test_an_event_that_runs_sql_and_does_not_commit_stops_no_call(place: Place, moment: str) -> None:
    engine = create_async_engine(place.url, pool_size=2, max_overflow=0)
    temporary = "CREATE TEMP TABLE IF NOT EXISTS mine (a integer)"

    @event.listens_for(engine.sync_engine, moment)
    def happened(connection: Any, *_: object) -> None:
        run_sql(temporary)(connection)
        run_sql("INSERT INTO mine VALUES (1)")(connection)

    await assert_committed(SqlStorageProvider(engine), place)
    pool: Any = engine.pool
    assert pool.checkedout() == 0
    await engine.dispose()


@pytest.mark.parametrize("moment", ["engine_connect", "begin", "before_cursor_execute", "commit", "rollback"])
async def test_events_of_the_engine_stop_no_call(place: Place, moment: str) -> None:
    engine = create_async_engine(place.url, pool_size=2, max_overflow=0)

    def happened(connection: Any, *_: object) -> None:
        if moment == "engine_connect":
            connection.exec_driver_sql("SELECT 1")  # which begins a transaction

    event.listen(engine.sync_engine, moment, happened)

    await assert_committed(SqlStorageProvider(engine), place)
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SELECT 1")
        await connection.commit()
    await engine.dispose()


@pytest.mark.parametrize("moment", ["checkin", "reset", "checkout", "invalidate", "close", "soft_invalidate"])
async def test_an_error_of_an_event_of_the_pool_is_one_of_ours_or_only_logged(place: Place, moment: str) -> None:
    engine = create_async_engine(place.url, pool_size=2, max_overflow=0)
    chats = SessionManager(new_chat, SqlStorageProvider(engine))

    @event.listens_for(engine.sync_engine, moment)
    def broken(*_: object) -> None:
        raise KeyError("broken")

    if moment == "checkout":
        for _ in range(5):
            with pytest.raises(StorageError, match="KeyError"):
                await chats.create_session("s")
    else:  # the call is done when the event comes
        assert [(await chats.create_session("s")).created for _ in range(5)] == [True, *[False] * 4]

    pool: Any = engine.pool
    assert pool.checkedout() == 0
    event.remove(engine.sync_engine, moment, broken)
    assert (await chats.create_session("s")).success
    assert (await chats.update_session("s", increment)).applied
    await engine.dispose()


SETTINGS = {
    "serializable": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "repeatable read": "SET default_transaction_isolation = 'repeatable read'",
    "deferrable": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, DEFERRABLE",
    "search_path": "SET search_path = pg_temp, pg_catalog",
    "statement_timeout": "SET statement_timeout = '7s'",
    "idle": "SET idle_in_transaction_session_timeout = '5s'",
    "listen": "LISTEN somewhere",
    "temporary table": "CREATE TEMP TABLE sessions (a integer)",
    "time zone": "SET TIME ZONE 'Asia/Kathmandu'",
    "styles": "SET IntervalStyle = 'sql_standard'; SET DateStyle = 'German'; SET bytea_output = 'escape'",
    "synchronous": "SET synchronous_commit = off",
    "quotes": "SET standard_conforming_strings = on; SET quote_all_identifiers = on",
}


@pytest.mark.parametrize("setting", SETTINGS)
async def test_settings_that_a_connect_event_makes_for_the_session_stop_no_call(
    database: Database, driver: str, setting: str
) -> None:
    database.empty()
    url = driven(database.url, driver)
    engine = create_async_engine(url, pool_size=2, max_overflow=0)

    def set_it(connection: Any) -> None:
        for statement in SETTINGS[setting].split(";"):
            run_sql(statement)(connection)

    on_connect(engine, set_it)
    await assert_committed(SqlStorageProvider(engine), Place(driver, url, dsn(database.url)))
    await engine.dispose()


@pytest.mark.parametrize(
    "statement",
    ["SET default_transaction_read_only = on", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"],
)
async def test_a_write_on_connections_that_an_event_made_read_only_says_so(
    database: Database, driver: str, statement: str
) -> None:
    database.empty()
    engine = create_async_engine(driven(database.url, driver), pool_size=2, max_overflow=0)
    on_connect(engine, run_sql(statement))
    chats = SessionManager(new_chat, SqlStorageProvider(engine))

    with pytest.raises(StorageUnavailableError, match="only reads here, and nothing was written"):
        await chats.create_session("s")
    assert not (await chats.get_session("s")).success
    pool: Any = engine.pool
    assert pool.checkedout() == 0
    await engine.dispose()


async def test_settings_that_an_event_makes_without_a_commit_stay(place: Place) -> None:
    wanted: object
    if place.driver == "sqlite":
        on, show, wanted = "PRAGMA temp_store = 2", "PRAGMA temp_store", 2
    else:
        on, show, wanted = "SET application_name = 'mine'", "SHOW application_name", "mine"
    engine = create_async_engine(place.url, pool_size=1, max_overflow=0)
    on_connect(engine, run_sql(on))

    await assert_committed(SqlStorageProvider(engine), place)

    async with engine.connect() as connection:
        assert (await connection.exec_driver_sql(show)).scalar() == wanted
    await engine.dispose()


@pytest.mark.parametrize("moment", ["connect", "checkout"])
async def test_an_error_of_an_event_becomes_one_of_ours_and_keeps_no_connection(place: Place, moment: str) -> None:
    engine = create_async_engine(place.url, pool_size=2, max_overflow=0)

    @event.listens_for(engine.sync_engine, moment)
    def broken(*_: object) -> None:
        raise KeyError("broken")

    chats = SessionManager(new_chat, SqlStorageProvider(engine))
    errors: list[BaseException] = []
    for _ in range(7):
        with pytest.raises(Exception, match="KeyError") as raised:
            await chats.get_session("s")
        errors.append(raised.value)

    pool: Any = engine.pool
    assert pool.checkedout() == 0
    assert {type(error).__name__ for error in errors} == {"StorageError"}
    await engine.dispose()
