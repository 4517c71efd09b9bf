"""Behind PgBouncer in transaction mode. That everything works through it, the conformance suite tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import (
    ConfigurationError,
    SessionManager,
    SqlStorageProvider,
    StorageError,
    StorageProvider,
    migrate,
    open_storage,
)
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import increment, key, new_chat
from tests.support.bystander import ask
from tests.support.databases import driven
from tests.support.pgbouncer import Bouncer
from tests.support.wire import WireCounter

# What the README tells those who bring an engine of their own.
_CONNECT_ARGS: dict[str, dict[str, object]] = {
    "psycopg": {"prepare_threshold": None},
    "asyncpg": {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    },
}


async def _all(*calls: Awaitable[object]) -> None:
    """Waits for all of them, also where one fails, so that none is under way when the storage is closed."""
    for end in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(end, BaseException):
            raise end


async def _count_together(storage: StorageProvider) -> None:
    """More than what is needed for a driver to prepare, on several connections."""
    chats = SessionManager(new_chat, storage)
    ids = [f"s{n}" for n in range(8)]
    await _all(*map(chats.create_session, ids))
    for _ in range(10):
        await _all(*(chats.update_session(session_id, increment) for session_id in ids))
        await _all(*map(chats.get_session, ids))
    assert [(await chats.get_session(session_id)).unwrap()["n"] for session_id in ids] == [10] * 8


async def test_an_option_says_the_same_as_the_url(bouncer: Bouncer, postgres: Database, driver: str) -> None:
    async with open_storage(driven(bouncer.careless_url(postgres), driver), prepared_statements=False) as storage:
        await _count_together(storage)


async def test_a_service_engine_without_prepared_statements_works_behind_a_pooler(
    bouncer: Bouncer, postgres: Database, driver: str
) -> None:
    url = driven(bouncer.careless_url(postgres), driver)
    engine = create_async_engine(url, connect_args=_CONNECT_ARGS[driver])
    await _count_together(SqlStorageProvider(engine))
    await engine.dispose()


async def test_calls_behind_a_pooler_get_the_advice_to_turn_prepared_statements_off(
    bouncer: Bouncer, postgres: Database, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = ""
    async with open_storage(driven(bouncer.careless_url(postgres), driver), batching=None) as storage:
        try:
            await _count_together(storage)
        except StorageError as error:  # not where each call was done again on a connection that knew the statement
            told = f"{error} {error.code}"
    assert not told or told.endswith((" 26000", " 42P05"))
    assert "add prepared_statements=false to the URL" in told + caplog.text


@pytest.mark.parametrize(("prepared", "told"), [(True, ["SET TIME ZONE 'UTC'"]), (False, [])])
async def test_nothing_is_set_on_a_connection_that_is_anothers_next(
    postgres: Database, prepared: bool, told: list[str]
) -> None:
    async with WireCounter(postgres.url) as wire, open_storage(wire.url, prepared_statements=prepared) as storage:
        with wire.counting() as seen:
            await storage.exists(key())
    assert seen.settings == told


def test_a_migration_does_not_go_through_it(bouncer: Bouncer, bare_database: Database) -> None:
    with pytest.raises(ConfigurationError, match="give the URL of the server itself"):
        migrate.upgrade(bouncer.url(bare_database))
    assert migrate.current(bouncer.url(bare_database)) is None
    migrate.upgrade(bare_database.url)
    assert migrate.current(bouncer.url(bare_database)) == REVISIONS[-1]
    assert ask(bare_database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]
