"""What the event loop is told when connections end: no exception that nobody retrieves."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg

from sessionstore import SessionManager, SessionStoreError, open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import increment, key, new_chat
from tests.support.bystander import dsn
from tests.support.databases import driven

from .proxy import Proxy

_KILLS = 40
_STEPS = 60
_TERMINATE = b"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1
"""


@contextmanager
def unhandled() -> Iterator[list[dict[str, Any]]]:
    """What the loop would log. Whatever nobody refers to any more has told the loop at the end."""
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: told.append(context))
    try:
        yield told
        gc.collect()
    finally:
        loop.set_exception_handler(before)


async def test_an_attempt_to_connect_that_is_cancelled_at_any_step_leaves_no_exception(
    postgres: Database, driver: str
) -> None:
    with unhandled() as told:
        async with Proxy(postgres.url) as proxy:
            for steps in range(_STEPS):
                async with open_storage(driven(proxy.url, driver), pool_size=1) as storage:
                    call = asyncio.ensure_future(storage.exists(key()))
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    call.cancel()
                    await asyncio.wait([call])
                del call, storage
        gc.collect()
    assert told == []


async def test_connections_that_are_killed_under_load_leave_no_exception(postgres: Database, driver: str) -> None:
    over = asyncio.Event()
    with unhandled() as told:
        async with (
            Proxy(postgres.url) as proxy,
            await psycopg.AsyncConnection.connect(dsn(postgres.url), autocommit=True) as bystander,
            open_storage(driven(proxy.url, driver), pool_size=4) as storage,
        ):
            chats = SessionManager(new_chat, storage, "killed")

            async def caller(at: int) -> None:
                name, timeout = f"s{at % 3}", [None, timedelta(milliseconds=30)][at % 2]
                while not over.is_set():
                    try:
                        async with asyncio.timeout([None, 0.02][at % 4 == 1]):
                            await chats.create_session(name, timeout=timeout)
                            await chats.update_session(name, increment, timeout=timeout)
                            await chats.append_items(name, [at], timeout=timeout)
                    except (SessionStoreError, TimeoutError):
                        continue

            callers = [asyncio.ensure_future(caller(at)) for at in range(12)]
            for _ in range(_KILLS):
                await bystander.execute(_TERMINATE)
                await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311
            over.set()
            await asyncio.gather(*callers)
        gc.collect()
    assert told == []
