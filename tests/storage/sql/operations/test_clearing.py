"""Clearing among others: the order in which it locks, and rows that are written while it waits for them."""

from __future__ import annotations

import asyncio

import psycopg

from sessionstore import open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import put
from tests.support.bystander import ask, dsn, until

_HOLD = "SELECT FROM sessionstore.sessions WHERE namespace = %s AND session_id = %s FOR UPDATE"


async def test_clearing_leaves_a_held_row_to_the_last_and_waits_for_it(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage, asyncio.timeout(20):
        await put(storage, "z", namespace="first")
        await put(storage, "a", namespace="second")
        with psycopg.connect(dsn(postgres.url)) as other:
            other.execute(_HOLD, ["first", "z"])
            clearing = asyncio.create_task(storage.clear())
            await until(postgres, "SELECT count(*) = 1 FROM sessionstore.sessions")
            assert not clearing.done()
        assert await clearing == 2


async def test_a_session_that_is_written_meanwhile_is_cleared(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage, asyncio.timeout(20):
        await put(storage, "s", "t")
        with psycopg.connect(dsn(postgres.url)) as other:
            other.execute("UPDATE sessionstore.sessions SET version = version + 1 WHERE session_id = 's'")
            clearing = asyncio.create_task(storage.clear())
            await until(postgres, "SELECT count(*) = 1 FROM sessionstore.sessions")
            other.commit()
        assert await clearing == 2
        assert ask(postgres, "SELECT FROM sessionstore.sessions") == []
