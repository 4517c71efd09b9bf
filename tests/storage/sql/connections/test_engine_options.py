"""However an engine was configured, another connection sees at once what was acknowledged."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiosqlite
import asyncpg
import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import AsyncAdaptedQueuePool, NullPool, StaticPool, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import (
    ConfigurationError,
    SessionManager,
    SqlStorageProvider,
    StorageError,
    StorageUnavailableError,
    open_storage,
)
from sessionstore.storage.sql.connections.modes import ASYNCPG_TYPES
from sessionstore.testing.postgres import Database, asyncpg_url
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import increment, new_chat
from tests.support.bystander import dsn
from tests.support.databases import driven


@dataclass
class Place:
    """A migrated database, reached through one driver."""

    driver: str
    url: str
    bystander: str

    def stored(self, session_id: str) -> Any:
        """The count of a session as another connection sees it; None: there is no such session."""
        statement = "SELECT CAST(state AS text) FROM {} WHERE session_id = '{}'"
        if self.driver == "sqlite":
            with sqlite3.connect(self.bystander) as connection:
                row = connection.execute(statement.format("sessions", session_id)).fetchone()
            connection.close()
        else:
            with psycopg.connect(self.bystander) as other:
                row = other.execute(statement.format("sessionstore.sessions", session_id).encode()).fetchone()
        return None if row is None else json.loads(row[0])["n"]

    async def connect(self) -> Any:
        """A new connection of the driver."""
        if self.driver == "sqlite":
            return await aiosqlite.connect(self.bystander)
        if self.driver == "asyncpg":
            return await asyncpg.connect(self.bystander)
        return await psycopg.AsyncConnection.connect(self.bystander)


@pytest.fixture(params=["psycopg", "asyncpg", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        file = copied_file(request.getfixturevalue("sqlite_template"), tmp_path / "sessions.db")
        return Place("sqlite", sqlite_url(file), str(file))
    database: Database = request.getfixturevalue("database")
    database.empty()
    url = asyncpg_url(database.url) if request.param == "asyncpg" else database.url
    return Place(request.param, url, dsn(database.url))


Given = Callable[[Place], Mapping[str, Any]]


def plain_creator(place: Place) -> Callable[[], Any]:
    """What SQLAlchemy itself makes a connection with."""
    dialect = create_async_engine(place.url).dialect
    arguments, options = dialect.create_connect_args(make_url(place.url))
    return lambda: dialect.connect(*arguments, **options)


OPTIONS: dict[str, Given] = {
    "connect_args": lambda place: {"connect_args": {"timeout" if place.driver != "psycopg" else "connect_timeout": 5}},
    "async_creator": lambda place: {"async_creator": place.connect},
    "creator": lambda place: {"creator": plain_creator(place)},
    "module": lambda place: {"module": create_async_engine(place.url).dialect.import_dbapi()},
    "pool": lambda place: {"pool": create_async_engine(place.url, pool_size=2).sync_engine.pool.recreate()},
    "echo": lambda _: {"echo": True},
    "echo_pool": lambda _: {"echo_pool": "debug"},
    "enable_from_linting": lambda _: {"enable_from_linting": False},
    "execution_options": lambda _: {"execution_options": {"logging_token": "a", "isolation_level": "AUTOCOMMIT"}},
    "future": lambda _: {"future": True},
    "hide_parameters": lambda _: {"hide_parameters": False},
    "insertmanyvalues_page_size": lambda _: {"insertmanyvalues_page_size": 7},
    "isolation_level": lambda _: {"isolation_level": "AUTOCOMMIT"},
    "json_deserializer": lambda _: {"json_deserializer": lambda text: ["other", text]},
    "json_serializer": lambda _: {"json_serializer": lambda value: '"other"'},
    "label_length": lambda _: {"label_length": 6},
    "logging_name": lambda _: {"logging_name": "mine"},
    "max_identifier_length": lambda _: {"max_identifier_length": 40},
    "max_overflow": lambda _: {"max_overflow": 3},
    "no_overflow_limit": lambda _: {"max_overflow": -1},
    "paramstyle": lambda place: {"paramstyle": {"psycopg": "pyformat", "sqlite": "named"}.get(place.driver, "format")},
    "NullPool": lambda _: {"poolclass": NullPool},
    "StaticPool": lambda _: {"poolclass": StaticPool},
    "AsyncAdaptedQueuePool": lambda _: {"poolclass": AsyncAdaptedQueuePool},
    "pool_logging_name": lambda _: {"pool_logging_name": "mine"},
    "pool_pre_ping": lambda _: {"pool_pre_ping": True},
    "pool_size": lambda _: {"pool_size": 1, "max_overflow": 0},
    "pool_size_without_limit": lambda _: {"pool_size": 0},
    "pool_recycle": lambda _: {"pool_recycle": 0},
    "pool_reset_on_return": lambda _: {"pool_reset_on_return": "rollback"},
    "no_pool_reset_on_return": lambda _: {"pool_reset_on_return": None},
    "commit_on_return": lambda _: {"pool_reset_on_return": "commit"},
    "pool_timeout": lambda _: {"pool_timeout": 5},
    "pool_use_lifo": lambda _: {"pool_use_lifo": True},
    "plugins": lambda _: {"plugins": []},
    "query_cache_size": lambda _: {"query_cache_size": 0},
    "skip_autocommit_rollback": lambda _: {"skip_autocommit_rollback": True},
    "use_insertmanyvalues": lambda _: {"use_insertmanyvalues": False},
}

LEVELS: dict[str, Given] = {
    "SERIALIZABLE": lambda _: {"isolation_level": "SERIALIZABLE"},
    "read": lambda p: {"isolation_level": "READ UNCOMMITTED" if p.driver == "sqlite" else "READ COMMITTED"},
    "execution_options": lambda _: {"execution_options": {"isolation_level": "SERIALIZABLE"}},
}


async def assert_committed(storage: SqlStorageProvider, place: Place) -> None:
    """What calls of each kind acknowledge is there for others, call by call."""
    chats = SessionManager(new_chat, storage)
    try:
        assert (await chats.create_session("s")).created
        assert place.stored("s") == 0
        for count in (1, 2):
            assert (await chats.update_session("s", increment)).applied
            assert place.stored("s") == count
        assert (await chats.get_session("s")).unwrap()["n"] == 2
        assert len((await storage.list()).sessions) == 1
        assert (await chats.delete_session("s")).data
        assert place.stored("s") is None
        assert (await chats.create_session("s")).created
        assert place.stored("s") == 0
    finally:
        await storage.close()
    assert place.stored("s") == 0


@pytest.mark.parametrize("option", OPTIONS)
async def test_open_storage_commits_with_each_option_of_an_engine(place: Place, option: str) -> None:
    storage = open_storage(place.url, **OPTIONS[option](place))
    assert isinstance(storage, SqlStorageProvider)

    await assert_committed(storage, place)


@pytest.mark.parametrize("option", [*OPTIONS, *LEVELS])
async def test_a_service_engine_commits_with_each_option(place: Place, option: str) -> None:
    engine = create_async_engine(place.url, **(OPTIONS | LEVELS)[option](place))

    await assert_committed(SqlStorageProvider(engine), place)
    await engine.dispose()


@pytest.mark.parametrize("level", ["SERIALIZABLE", "READ COMMITTED", "REPEATABLE READ", "AUTOCOMMIT"])
async def test_a_service_engine_commits_with_levels_from_its_own_options(place: Place, level: str) -> None:
    engine = create_async_engine(place.url)
    if place.driver == "sqlite" and level != "AUTOCOMMIT":
        level = "SERIALIZABLE"

    await assert_committed(SqlStorageProvider(engine.execution_options(isolation_level=level)), place)
    await engine.dispose()


@pytest.mark.parametrize("level", ["READ UNCOMMITTED", "READ COMMITTED", "nonsense", 5])
async def test_a_level_that_a_driver_does_not_have_is_refused_by_its_name(place: Place, level: Any) -> None:
    known = {"psycopg": ("READ UNCOMMITTED", "READ COMMITTED"), "asyncpg": ("READ COMMITTED",)}
    engine = create_async_engine(place.url, isolation_level=level)
    storage = SqlStorageProvider(engine)
    if level in known.get(place.driver, ("READ UNCOMMITTED",)):
        await assert_committed(storage, place)
    else:
        with pytest.raises(ConfigurationError, match=f"isolation_level {level!r} of the engine .*AUTOCOMMIT"):
            await storage.check()
    await engine.dispose()


REFUSED: dict[str, Given] = {
    "isolation_level": LEVELS["SERIALIZABLE"],
    "execution_options": LEVELS["execution_options"],
    "schema_translate_map": lambda _: {"execution_options": {"schema_translate_map": {None: "other"}}},
    "row_factory": lambda _: {"connect_args": {"row_factory": dict_row}},
    "cursor_factory": lambda _: {"connect_args": {"cursor_factory": psycopg.AsyncRawCursor}},
    "future": lambda _: {"future": False},
    "server_side_cursors": lambda _: {"server_side_cursors": True},
    "nonsense": lambda _: {"nonsense": 1},
    "pool_size": lambda _: {"pool_size": -3},
    "pool_size of": lambda _: {"pool_size": "5"},
    "max_overflow": lambda _: {"max_overflow": 1.5},
    "max_overflow of": lambda _: {"max_overflow": -2},
    "pool_timeout": lambda _: {"pool_timeout": "5"},
    "pool_timeout of": lambda _: {"pool_timeout": timedelta(seconds=5)},
    "pool_recycle": lambda _: {"pool_recycle": "3600"},
    "async_creator": lambda place: {"async_creator": place.connect, "creator": place.connect},
}


@pytest.mark.parametrize("name", REFUSED)
async def test_open_storage_refuses_options_that_cannot_work_by_name(place: Place, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        open_storage(place.url, **REFUSED[name](place))


def on_connect(engine: AsyncEngine, act: Callable[[Any], object]) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: object) -> None:
        act(connection)


def run_sql(statement: str) -> Callable[[Any], None]:
    def run(connection: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.close()

    return run


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
async def test_an_event_of_the_pool_that_fails_is_ours_or_unseen(place: Place, moment: str) -> None:
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
async def test_an_error_of_an_event_is_ours_and_keeps_no_connection(place: Place, moment: str) -> None:
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


@pytest.mark.parametrize("numbers", [{"pool_size": -3, "max_overflow": 0}, {"pool_size": -20}], ids=str)
async def test_a_pool_without_a_place_has_an_error_that_says_so(place: Place, numbers: dict[str, int]) -> None:
    engine = create_async_engine(place.url, pool_timeout=0.1, **numbers)

    with pytest.raises(StorageUnavailableError, match="raise pool_size"):
        await SessionManager(new_chat, SqlStorageProvider(engine)).get_session("s")
    await engine.dispose()


async def test_the_service_gets_its_connections_back_as_they_were(place: Place) -> None:
    engine = create_async_engine(place.url, pool_size=1, max_overflow=0)
    await assert_committed(SqlStorageProvider(engine), place)
    table = "sessions" if place.driver == "sqlite" else "sessionstore.sessions"

    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"DELETE FROM {table}")
        await connection.rollback()

    assert place.stored("s") == 0
    await engine.dispose()


@pytest.mark.parametrize("name", list(ASYNCPG_TYPES))
async def test_a_codec_of_asyncpg_that_cannot_be_set_aside_is_named(database: Database, name: str) -> None:
    engine = create_async_engine(asyncpg_url(database.url))

    def set_codec(connection: Any) -> None:
        connection.run_async(
            lambda driver: driver.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=str, format="text")
        )

    on_connect(engine, set_codec)

    with pytest.raises(ConfigurationError, match=f"codec of their own for {name}"):
        await SessionManager(new_chat, SqlStorageProvider(engine)).get_session("s")
    pool: Any = engine.pool
    assert pool.checkedout() == 0
    await engine.dispose()


async def test_a_json_codec_of_asyncpg_changes_no_state(database: Database) -> None:
    engine = create_async_engine(asyncpg_url(database.url))

    def set_codec(connection: Any) -> None:
        for name in ("json", "jsonb"):
            connection.run_async(
                lambda driver, name=name: driver.set_type_codec(
                    name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads
                )
            )

    on_connect(engine, set_codec)
    database.empty()

    await assert_committed(SqlStorageProvider(engine), Place("asyncpg", asyncpg_url(database.url), dsn(database.url)))
    await engine.dispose()


class Loud(psycopg.adapt.Loader):
    def load(self, data: Any) -> Any:
        raise AssertionError("a loader of the service's was asked")


PSYCOPG: dict[str, Callable[[Any], object]] = {
    "row_factory": lambda connection: setattr(connection, "row_factory", dict_row),
    "cursor_factory": lambda connection: setattr(connection, "cursor_factory", psycopg.AsyncRawCursor),
    "loaders": lambda connection: (
        [
            connection.adapters.register_loader(name, Loud)
            for name in ("timestamptz", "jsonb", "text", "varchar", "int8", "int4", "interval", "bool")
        ]
        and None
    ),
    "dumpers": lambda connection: (
        [connection.adapters.register_dumper(kind, LoudDumper) for kind in (str, int)] and None
    ),
}


class LoudDumper(psycopg.adapt.Dumper):
    def dump(self, obj: Any) -> Any:
        raise AssertionError("a dumper of the service's was asked")


@pytest.mark.parametrize("setting", PSYCOPG)
async def test_settings_of_psycopg_connections_do_not_reach_our_statements(database: Database, setting: str) -> None:
    database.empty()
    engine = create_async_engine(database.url, pool_size=1, max_overflow=0)
    on_connect(engine, lambda connection: PSYCOPG[setting](connection.driver_connection))

    await assert_committed(SqlStorageProvider(engine), Place("psycopg", database.url, dsn(database.url)))
    await engine.dispose()


@pytest.mark.parametrize(
    "settings",
    [
        {"row_factory": sqlite3.Row},
        {"row_factory": lambda cursor, row: dict(zip([column[0] for column in cursor.description], row, strict=True))},
        {"text_factory": bytes},
    ],
    ids=["Row", "dict", "bytes"],
)
async def test_settings_of_sqlite_connections_do_not_reach_our_statements(
    sqlite_template: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    file = copied_file(sqlite_template, tmp_path / "sessions.db")
    engine = create_async_engine(sqlite_url(file), pool_size=1, max_overflow=0)
    found: list[Any] = []

    def setting(connection: Any) -> None:
        found.append(connection.driver_connection)
        for name, value in settings.items():
            setattr(connection.driver_connection, name, value)

    on_connect(engine, setting)

    await assert_committed(SqlStorageProvider(engine), Place("sqlite", sqlite_url(file), str(file)))
    assert {name: getattr(found[0], name) for name in settings} == settings
    await engine.dispose()


@pytest.mark.parametrize("name", ["INTEGER", "TEXT"])
async def test_a_converter_of_sqlite_that_cannot_be_set_aside_is_named(
    sqlite_template: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sqlite3.converters, name, lambda data: ("converted", data))
    file = copied_file(sqlite_template, tmp_path / "sessions.db")
    engine = create_async_engine(sqlite_url(file), connect_args={"detect_types": sqlite3.PARSE_DECLTYPES})

    with pytest.raises(ConfigurationError, match=f"columns of type {name}"):
        await SessionManager(new_chat, SqlStorageProvider(engine)).get_session("s")
    await engine.dispose()

    plain = create_async_engine(sqlite_url(file))
    await assert_committed(SqlStorageProvider(plain), Place("sqlite", sqlite_url(file), str(file)))
    await plain.dispose()


async def test_a_static_pool_with_an_open_transaction_is_refused(place: Place) -> None:
    engine = create_async_engine(place.url, poolclass=StaticPool)
    async with engine.connect() as connection:
        table = "sessions" if place.driver == "sqlite" else "sessionstore.sessions"
        await connection.exec_driver_sql(f"DELETE FROM {table}")

        with pytest.raises(ConfigurationError, match="StaticPool"):
            await SessionManager(new_chat, SqlStorageProvider(engine)).create_session("s")
        await connection.exec_driver_sql("SELECT 1")
        await connection.rollback()
    await engine.dispose()
