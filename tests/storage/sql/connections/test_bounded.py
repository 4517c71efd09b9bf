"""An operation that is left in the middle, whatever its driver waits for at that moment."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import asyncpg
import pytest

from sessionstore.storage.sql.connections.bounded import Left, bounded, ended
from sessionstore.testing.postgres import Database, dsn
from tests.faults.test_nothing_unhandled import unhandled


def in_a_moment(of: asyncio.Future[None]) -> None:
    """Makes a future done in the next round of the loop, before timers of that round."""
    asyncio.get_running_loop().call_soon(of.set_result, None)


async def test_a_statement_that_begins_when_the_time_is_up_is_cancelled_as_any_other() -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()

    async def operation() -> None:
        in_a_moment(first)
        await first  # done in the round of the loop in which the time is up
        await second

    with pytest.raises(Left) as left:
        await bounded(operation(), 0)

    assert second.cancelled()
    with pytest.raises(asyncio.CancelledError):
        await ended(left.value.rest)


async def test_asyncpg_leaves_no_exception_behind_where_its_statement_began_when_the_time_was_up(
    database: Database,
) -> None:
    with unhandled() as told:
        for _ in range(3):
            await _leave_asyncpg(database)
        gc.collect()
    assert told == []


async def _leave_asyncpg(database: Database) -> None:
    connection: Any = await asyncpg.connect(dsn(database.url))
    first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def operation() -> None:
        in_a_moment(first)
        await first
        await connection.fetch("SELECT pg_sleep(60)")

    with pytest.raises(Left) as left:
        await bounded(operation(), 0)
    with pytest.raises(asyncio.CancelledError):
        await ended(left.value.rest)
    await connection.close(timeout=5)
