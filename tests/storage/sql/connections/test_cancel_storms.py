"""Storms of cancellations on a service's own engine: its pool is whole afterwards, and nobody is left."""

from __future__ import annotations

import asyncio
import gc
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SessionManager, SqlStorageProvider
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import increment, new_chat
from tests.support.bystander import dsn
from tests.support.databases import driven

CALLERS = 40
ROUNDS = 25
POOL_SIZE, OVERFLOW = 3, 2
SETTLING_SECONDS = 10.0


@pytest.fixture(params=["psycopg", "asyncpg", "sqlite"])
def service_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(copied_file(request.getfixturevalue("sqlite_template"), tmp_path / "sessions.db"))
    postgres: Database = request.getfixturevalue("postgres")
    return driven(postgres.url, request.param)


def server_connections(url: str) -> int:
    """How many connections of others the database has."""
    with psycopg.connect(dsn(url.replace("+asyncpg", "+psycopg"))) as connection:
        others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        row = connection.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {others}".encode()).fetchone()
    assert row is not None
    return int(row[0])


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(int(SETTLING_SECONDS / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)  # there is no event to wait for
    raise AssertionError("the storm is not settled")


async def storm(chats: SessionManager[Any], cancels: int) -> tuple[dict[str, int], dict[str, int]]:
    """The updates that each session was told of, and those that may have landed besides."""
    dice = random.Random(cancels)  # noqa: S311  # no secret
    told: dict[str, int] = {}
    open_: dict[str, int] = {}

    async def caller(at: int) -> None:
        for round_ in range(ROUNDS):
            session_id = f"s{(at + round_) % 8}"
            call = chats.get_session(session_id) if round_ % 3 == 0 else chats.update_session(session_id, increment)
            task = asyncio.ensure_future(call)
            done: set[Any] = set()
            if at % 4 == 0:
                done, _ = await asyncio.wait([task])  # nobody cancels this one
            elif dice.random() < 0.5:
                done, _ = await asyncio.wait([task], timeout=dice.choice([0, 0, 0.001, 0.004]))
            else:
                for _ in range(dice.randrange(12)):
                    await asyncio.sleep(0)
            if not done:
                for _ in range(cancels):
                    task.cancel()
                    await asyncio.sleep(0)
            end: Any = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(end, asyncio.CancelledError):
                open_[session_id] = open_.get(session_id, 0) + (round_ % 3 != 0)
            else:
                assert not isinstance(end, BaseException), repr(end)
                assert end.success, end.error
                told[session_id] = told.get(session_id, 0) + (round_ % 3 != 0)

    await asyncio.gather(*map(caller, range(CALLERS)))
    return told, open_


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage is collected, so that nothing is closed by chance."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("cancels", [1, 2], ids=["once", "twice"])
async def test_the_pool_of_a_service_is_whole_after_a_storm_of_cancellations(service_url: str, cancels: int) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        engine = create_async_engine(service_url, pool_size=POOL_SIZE, max_overflow=OVERFLOW)
        chats = SessionManager(new_chat, SqlStorageProvider(engine))
        for at in range(8):
            (await chats.create_session(f"s{at}")).unwrap()

        told, open_ = await storm(chats, cancels)

        pool: Any = engine.pool
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()} and pool.checkedout() == 0)
        assert pool.overflow() <= OVERFLOW
        if "postgresql" in service_url:
            # The server ends a process some time after its connection.
            await until(lambda: server_connections(service_url) <= POOL_SIZE + OVERFLOW)
        # All that the pool may have can be had at once.
        connections = [await engine.connect() for _ in range(POOL_SIZE + OVERFLOW)]
        for connection in connections:
            await connection.close()
        for at in range(8):
            found = (await chats.get_session(f"s{at}")).unwrap()["n"]
            assert told.get(f"s{at}", 0) <= found <= told.get(f"s{at}", 0) + open_.get(f"s{at}", 0)
        await engine.dispose()
        gc.collect()
    assert [str(warning.message) for warning in said] == []
    assert sum(told.values()) > 0
    assert sum(open_.values()) > 0
