"""However an engine was configured, another connection sees at once what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import AsyncAdaptedQueuePool, NullPool, StaticPool, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import ConfigurationError, SessionManager, SqlStorageProvider, StorageUnavailableError, open_storage
from sessionstore.testing.support.documents import new_chat
from tests.storage.sql.connections.places import Place, assert_committed

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
