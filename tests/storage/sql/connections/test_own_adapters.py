"""Row factories, adapters, converters and codecs of a service's connections do not reach our statements."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import ConfigurationError, SessionManager, SqlStorageProvider
from sessionstore.storage.sql.connections.modes import ASYNCPG_TYPES
from sessionstore.testing.postgres import Database, asyncpg_url
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import new_chat
from tests.storage.sql.connections.listening import on_connect
from tests.storage.sql.connections.places import Place, assert_committed
from tests.support.bystander import dsn


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
