"""Clearing among others: the order in which it locks, and rows that are written while it waits for them."""

from __future__ import annotations

import asyncio

import psycopg

from sessionstore import open_storage
from tests.support.documents import put
from tests.support.postgres import Database

from .bystander import ask, dsn, until_blocked

_HOLD = "SELECT FROM sessionstore.sessions WHERE namespace = %s AND session_id = %s FOR UPDATE"


async def test_clearing_locks_in_the_order_of_other_batches(url: str, postgres: Database) -> None:
    """By namespace first: waiting for a row of the first one, it holds none of the second, whatever their ids."""
    async with open_storage(url) as storage, asyncio.timeout(20):
        await put(storage, "z", namespace="first")
        await put(storage, "a", namespace="second")
        with psycopg.connect(dsn(postgres.url)) as other:
            other.execute(_HOLD, ["first", "z"])
            clearing = asyncio.create_task(storage.clear())
            await until_blocked(postgres)
            other.execute(f"{_HOLD} NOWAIT", ["second", "a"])
        assert await clearing == 2


async def test_a_session_written_while_clearing_waits_for_it_is_cleared(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage, asyncio.timeout(20):
        await put(storage, "s")
        with psycopg.connect(dsn(postgres.url)) as other:
            other.execute("UPDATE sessionstore.sessions SET version = version + 1")
            clearing = asyncio.create_task(storage.clear())
            await until_blocked(postgres)
        assert await clearing == 1
        assert ask(postgres, "SELECT FROM sessionstore.sessions") == []
