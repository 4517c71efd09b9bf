"""What a function of the service, which makes the connections of an engine, may leave behind on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SessionManager, SqlStorageProvider, StorageUnavailableError, open_storage
from sessionstore.testing.postgres import Database, dsn
from sessionstore.testing.support.documents import increment, new_chat
from tests.support.databases import driven


async def psycopg_in_transaction(address: str) -> Any:
    connection = await psycopg.AsyncConnection.connect(address)
    await connection.execute("SELECT 1")
    return connection


async def asyncpg_in_transaction(address: str) -> Any:
    connection = await asyncpg.connect(address)
    await connection.execute("BEGIN")
    return connection


async def psycopg_misspelt(address: str) -> Any:
    return await psycopg.AsyncConnection.connect(f"{address} nonsense")


async def asyncpg_misspelt(address: str) -> Any:
    return await asyncpg.connect(f"{address}&target_session_attrs=nonsense")


Create = Callable[[str], Awaitable[Any]]

WORKS: dict[str, tuple[str, Create, str]] = {
    "a transaction of psycopg": ("psycopg", psycopg_in_transaction, "the service's"),
    "a transaction of asyncpg": ("asyncpg", asyncpg_in_transaction, "ours"),
}
# SQLAlchemy itself sets something on each new connection, which drivers do not take in a transaction.
TOLD: dict[str, tuple[str, Create, str]] = {
    "a transaction of psycopg": ("psycopg", psycopg_in_transaction, "ours"),
    "a transaction of asyncpg": ("asyncpg", asyncpg_in_transaction, "the service's"),
    "arguments of psycopg": ("psycopg", psycopg_misspelt, "ours"),
    "arguments of asyncpg": ("asyncpg", asyncpg_misspelt, "ours"),
}


def storage_of(database: Database, row: tuple[str, Create, str]) -> tuple[SqlStorageProvider, Any]:
    driver, create, whose = row
    address = dsn(database.url)

    def creator(*_: object, **__: object) -> Awaitable[Any]:
        return create(address)

    if whose == "ours":
        storage = open_storage(driven(database.url, driver), async_creator=creator)
        assert isinstance(storage, SqlStorageProvider)
        return storage, None
    engine = create_async_engine(driven(database.url, driver), async_creator=creator)
    return SqlStorageProvider(engine), engine


@pytest.mark.parametrize("name", WORKS)
async def test_a_transaction_that_a_creator_left_open_stops_no_call(database: Database, name: str) -> None:
    database.empty()
    storage, engine = storage_of(database, WORKS[name])
    chats = SessionManager(new_chat, storage)

    assert (await chats.create_session("s")).created
    assert (await chats.update_session("s", increment)).applied

    with psycopg.connect(dsn(database.url)) as other:
        assert other.execute("SELECT state ->> 'n' FROM sessionstore.sessions").fetchone() == ("1",)
    await storage.close()
    if engine is not None:
        await engine.dispose()


@pytest.mark.parametrize("name", TOLD)
async def test_the_error_of_a_creator_that_drivers_do_not_accept_names_the_creator(
    database: Database, name: str
) -> None:
    database.empty()
    storage, engine = storage_of(database, TOLD[name])
    chats = SessionManager(new_chat, storage)

    for _ in range(3):
        with pytest.raises(StorageUnavailableError, match=r"made a connection; .*creator.* transaction open") as told:
            await chats.create_session("s")
        assert "password" not in str(told.value)

    await storage.close()
    if engine is not None:
        await engine.dispose()
