"""What a service's events do to its connections: what is acknowledged is committed, or the call is refused by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only

from sessionstore import SqlStorageProvider, StorageError, StorageUnavailableError
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import draft, key
from tests.storage.sql.connections.listening import run_sql
from tests.storage.sql.connections.places import Place, assert_committed
from tests.support.bystander import ask, dsn
from tests.support.databases import driven

Act = Callable[[Any], None]


def all_of(*statements: str) -> Act:
    def run(connection: Any) -> None:
        for statement in statements:
            run_sql(statement)(connection)

    return run


def fail_in_a_transaction(connection: Any) -> None:
    with pytest.raises(Exception, match="division by zero"):
        run_sql("SELECT 1/0")(connection)


def of_psycopg(method: str, value: object) -> Act:
    """Calls a method of the driver's connection; the others have no such method and begin nothing by themselves."""

    def act(connection: Any) -> None:
        if (call := getattr(connection.driver_connection, method, None)) is not None:
            await_only(call(value))

    return act


COMMITTED: dict[str, Act] = {
    "BEGIN": run_sql("BEGIN"),
    "BEGIN and SAVEPOINT": all_of("BEGIN", "SAVEPOINT a"),
    "BEGIN READ ONLY": run_sql("BEGIN READ ONLY"),
    "BEGIN SERIALIZABLE": run_sql("BEGIN ISOLATION LEVEL SERIALIZABLE"),
    "a transaction that failed": fail_in_a_transaction,
    "a lock": run_sql("LOCK TABLE sessionstore.sessions IN ROW EXCLUSIVE MODE"),
    "SET TRANSACTION READ ONLY": run_sql("SET TRANSACTION READ ONLY"),
    "SET LOCAL": run_sql("SET LOCAL statement_timeout = '1ms'"),
    "SET LOCAL ROLE": run_sql("SET LOCAL ROLE sessionstore_nobody"),
    "SET ROLE of somebody who may": run_sql("SET ROLE sessionstore_somebody"),
    "default_transaction_deferrable": all_of(
        "SET default_transaction_isolation = 'serializable'", "SET default_transaction_deferrable = on"
    ),
    "SESSION CHARACTERISTICS": run_sql(
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE, DEFERRABLE"
    ),
    "RESET ALL": run_sql("RESET ALL"),
    "autocommit of SQLAlchemy's connection": lambda connection: setattr(connection, "autocommit", False),
    "set_autocommit": of_psycopg("set_autocommit", value=False),
    "set_isolation_level": of_psycopg("set_isolation_level", psycopg.IsolationLevel.SERIALIZABLE),
    "set_read_only": of_psycopg("set_read_only", value=True),
    "set_deferrable": of_psycopg("set_deferrable", value=True),
}

_ROLES = """
DO $$ BEGIN CREATE ROLE sessionstore_nobody; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE sessionstore_somebody; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT USAGE ON SCHEMA sessionstore TO sessionstore_somebody;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessionstore TO sessionstore_somebody;
"""


@pytest.fixture
def roles(database: Database) -> Database:
    database.empty()
    ask(database, _ROLES)
    return database


@pytest.mark.parametrize("moment", ["connect", "checkout"])
@pytest.mark.parametrize("name", COMMITTED)
async def test_an_acknowledged_write_is_committed_whatever_an_event_did(
    roles: Database, driver: str, name: str, moment: str
) -> None:
    engine = create_async_engine(driven(roles.url, driver), pool_size=2, max_overflow=0)

    @event.listens_for(engine.sync_engine, moment)
    def happened(connection: Any, *_: object) -> None:
        COMMITTED[name](connection)

    await assert_committed(SqlStorageProvider(engine), Place(driver, "", dsn(roles.url)))
    pool: Any = engine.pool
    assert pool.checkedout() == 0
    await engine.dispose()


REFUSED: dict[str, tuple[Act, type[StorageError], str]] = {
    "SET ROLE": (
        run_sql("SET ROLE sessionstore_nobody"),
        StorageError,
        "lacks USAGE on the schema, SELECT/INSERT",
    ),
    "SET SESSION AUTHORIZATION": (
        run_sql("SET SESSION AUTHORIZATION sessionstore_nobody"),
        StorageError,
        "lacks USAGE on the schema, SELECT/INSERT",
    ),
    "default_transaction_read_only": (
        run_sql("SET default_transaction_read_only = on"),
        StorageUnavailableError,
        "only reads here, and nothing was written",
    ),
    "SESSION CHARACTERISTICS": (
        run_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
        StorageUnavailableError,
        "only reads here, and nothing was written",
    ),
}


@pytest.mark.parametrize("moment", ["connect", "checkout"])
@pytest.mark.parametrize("name", REFUSED)
async def test_an_event_that_makes_writes_impossible_has_an_error_that_says_so(
    roles: Database, driver: str, name: str, moment: str
) -> None:
    act, error, words = REFUSED[name]
    engine = create_async_engine(driven(roles.url, driver), pool_size=2, max_overflow=0)

    @event.listens_for(engine.sync_engine, moment)
    def happened(connection: Any, *_: object) -> None:
        act(connection)

    storage = SqlStorageProvider(engine)
    for _ in range(3):
        with pytest.raises(error, match=words):
            await storage.set(draft("s"))
    pool: Any = engine.pool
    assert pool.checkedout() == 0
    event.remove(engine.sync_engine, moment, happened)
    await engine.dispose()
    await storage.set(draft("s"))
    assert await storage.exists(key("s"))
    await engine.dispose()


def of_sqlite(name: str, value: object) -> Act:
    return lambda connection: setattr(connection.driver_connection._conn, name, value)


SQLITE: dict[str, Act] = {
    "BEGIN": run_sql("BEGIN"),
    "BEGIN IMMEDIATE": run_sql("BEGIN IMMEDIATE"),
    "SAVEPOINT": run_sql("SAVEPOINT a"),
    "isolation_level": of_sqlite("isolation_level", "EXCLUSIVE"),
    "isolation_level of SQLAlchemy's connection": lambda connection: setattr(connection, "isolation_level", "DEFERRED"),
    "foreign_keys": run_sql("PRAGMA foreign_keys = on"),
    "synchronous": run_sql("PRAGMA synchronous = off"),
    "locking_mode": run_sql("PRAGMA locking_mode = normal"),
    "read_uncommitted": run_sql("PRAGMA read_uncommitted = on"),
}
if hasattr(sqlite3, "LEGACY_TRANSACTION_CONTROL"):  # since Python 3.12
    SQLITE["autocommit"] = of_sqlite("autocommit", value=False)


@pytest.mark.parametrize("moment", ["connect", "checkout"])
@pytest.mark.parametrize("name", SQLITE)
async def test_an_acknowledged_write_is_in_the_file_whatever_an_event_did(
    sqlite_template: Path, tmp_path: Path, name: str, moment: str
) -> None:
    file = copied_file(sqlite_template, tmp_path / "sessions.db")
    engine = create_async_engine(sqlite_url(file), pool_size=1, max_overflow=0)

    @event.listens_for(engine.sync_engine, moment)
    def happened(connection: Any, *_: object) -> None:
        SQLITE[name](connection)

    await assert_committed(SqlStorageProvider(engine), Place("sqlite", sqlite_url(file), str(file)))
    await engine.dispose()


async def test_an_event_that_makes_sqlite_read_only_has_an_error_that_says_so(
    sqlite_template: Path, tmp_path: Path
) -> None:
    file = copied_file(sqlite_template, tmp_path / "sessions.db")
    engine = create_async_engine(sqlite_url(file), pool_size=1, max_overflow=0)

    @event.listens_for(engine.sync_engine, "connect")
    def happened(connection: Any, _: object) -> None:
        run_sql("PRAGMA query_only = on")(connection)

    storage = SqlStorageProvider(engine)
    with pytest.raises(StorageError, match="may not be written"):
        await storage.set(draft("s"))
    assert not await storage.exists(key("s"))
    await engine.dispose()
