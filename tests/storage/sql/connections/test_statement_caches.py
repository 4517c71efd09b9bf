"""Whatever a driver is told about prepared statements, every kind of call works and is committed."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SessionManager, SqlStorageProvider, open_storage
from sessionstore.storage.sql.connections.engine import make_engine
from sessionstore.testing.postgres import Database, dsn
from sessionstore.testing.support.documents import increment, new_chat
from tests.support.databases import driven

OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "prepare each statement": ("psycopg", {"prepare_threshold": 0}),
    "prepare at the second run": ("psycopg", {"prepare_threshold": 1}),
    "prepare nothing": ("psycopg", {"prepare_threshold": None}),
    "cache nothing": ("asyncpg", {"statement_cache_size": 0}),
    "cache nothing in SQLAlchemy": ("asyncpg", {"prepared_statement_cache_size": 0}),
    "cache one": ("asyncpg", {"statement_cache_size": 1}),
    "cache for a second": ("asyncpg", {"max_cached_statement_lifetime": 1}),
    "cache short ones": ("asyncpg", {"max_cacheable_statement_size": 10}),
    "names of its own": ("asyncpg", {"prepared_statement_name_func": lambda: ""}),
}


async def each_kind_of_call(chats: SessionManager[Any]) -> None:
    """Makes calls of one statement and calls with a transaction, often enough for each to be prepared."""
    for _ in range(7):
        assert (await chats.create_session("s")).created
        assert (await chats.update_session("s", increment, append=["first"])).applied
        assert (await chats.append_items("s", ["second", "third"])).success
        assert [item.data for item in (await chats.pop_items("s")).items] == ["third"]
        assert (await chats.replace_item("s", 2, "redacted")).success
        assert (await chats.fork_session("s", "copy")).success
        assert (await chats.replace_items("s", ["summary"])).success
        assert (await chats.trim_items("s", 0)).data == 1
        assert (await chats.delete_session("s")).data
        copy = await chats.get_session("copy", last_items=2)
        assert [item.data for item in copy.items] == ["first", "redacted"]
        assert (await chats.delete_session("copy")).data


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("whose", ["ours", "the service's"])
async def test_every_call_works_however_statements_are_prepared(database: Database, name: str, whose: str) -> None:
    database.empty()
    driver, connect_args = OPTIONS[name]
    url = driven(database.url, driver)
    engine = None if whose == "ours" else create_async_engine(url, connect_args=connect_args, pool_size=1)
    storage = SqlStorageProvider(engine) if engine is not None else open_storage(url, connect_args=connect_args)

    await each_kind_of_call(SessionManager(new_chat, storage))

    with psycopg.connect(dsn(database.url)) as other:
        assert other.execute("SELECT count(*) FROM sessionstore.sessions").fetchone() == (0,)
    await storage.close()
    if engine is not None:
        await engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_a_long_statement_stays_prepared(database: Database, driver: str) -> None:
    database.empty()
    engine = make_engine(driven(database.url, driver), pool_size=1, max_overflow=0)
    storage = SqlStorageProvider(engine)
    chats = SessionManager(new_chat, storage)
    for number in range(10):
        (await chats.append_items(f"s{number}", ["hello"], create=True)).unwrap()

    prepared = "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE length(statement) > 15360"
    async with engine.connect() as connection:
        ((used,),) = (await connection.execute(text(prepared))).all()
    assert used > 3
    await storage.close()
    await engine.dispose()
