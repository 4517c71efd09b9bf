"""Connections are ended by the server: one by one in the middle of their work, and all that idle."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg

from sessionstore.testing.postgres import Database
from tests.support.bystander import dsn, set_for_everybody

from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import Writers

_TERMINATED = "connection terminated (pg_terminate_backend)"
_IDLE = "idle connections closed (idle_session_timeout)"
_IDLE_FOR = timedelta(milliseconds=100)

_CLIENTS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_TERMINATE_ONE = f"SELECT pg_terminate_backend(pid) {_CLIENTS} ORDER BY state <> 'active', random() LIMIT 1".encode()
_OTHERS = f"SELECT count(*) {_CLIENTS}".encode()


async def terminated(cluster: Cluster, times: int) -> list[Row]:
    """So many connections one by one; and a tenth as often all that idle."""
    return [await each_way(cluster, times, _one_by_one), await each_way(cluster, max(2, times // 10), _idle)]


async def _one_by_one(database: Database, driver: str, times: int) -> Row:
    async with (
        through(database.url, driver, pool_size=4) as storage,
        await psycopg.AsyncConnection.connect(dsn(database.url), autocommit=True) as bystander,
    ):
        async with Writers(storage) as writers:
            await writers.all_move_on()
            for _ in range(times):
                # Where all were just ended, one that comes again is waited for.
                while not (await (await bystander.execute(_TERMINATE_ONE)).fetchall()):
                    await writers.all_move_on()
                await writers.go_on()
        return await writers.row(database.url, _TERMINATED, times)


async def _idle(database: Database, driver: str, times: int) -> Row:
    await asyncio.to_thread(set_for_everybody, database, f"idle_session_timeout = {_IDLE_FOR.total_seconds() * 1000:g}")
    async with (
        through(database.url, driver, pool_size=4) as storage,
        await psycopg.AsyncConnection.connect(dsn(database.url), autocommit=True) as bystander,
    ):
        await bystander.execute("SET idle_session_timeout = 0")
        async with Writers(storage) as writers:
            for _ in range(times):
                await writers.all_move_on()
                async with writers.pause(), asyncio.timeout(20):
                    while (await (await bystander.execute(_OTHERS)).fetchall()) != [(0,)]:  # noqa: ASYNC110  # there is no event to wait for
                        await asyncio.sleep(_IDLE_FOR.total_seconds() / 10)
            await writers.all_move_on()
        return await writers.row(database.url, _IDLE, times)
