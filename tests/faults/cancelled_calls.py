"""Calls are cancelled at any moment, half of those that are under way at once, beside others that go on."""

from __future__ import annotations

import asyncio
import random

from sessionstore import StorageProvider, open_storage
from sessionstore.testing.directory import short_directory
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import migrated_file, sqlite_url

from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import Writers

_FAULT = "half of the calls cancelled"
_LONGEST_WAIT = 0.01
"""Longer than a round trip, so that calls are cancelled wherever they wait."""


async def cancelled_calls(cluster: Cluster, times: int) -> list[Row]:
    """So many times through the drivers of PostgreSQL, and as often on SQLite."""
    row = await each_way(cluster, times, _one_way)
    with short_directory() as directory:
        url = sqlite_url(await asyncio.to_thread(migrated_file, directory / "sessions.db"))
        async with open_storage(url) as storage:
            return [row, await _storm(storage, url, f"{_FAULT}, SQLite", times)]


async def _one_way(database: Database, driver: str, times: int) -> Row:
    async with through(database.url, driver) as storage:
        return await _storm(storage, database.url, f"{_FAULT}, PostgreSQL", times)


async def _storm(storage: StorageProvider, url: str, fault: str, times: int) -> Row:
    async with Writers(storage) as writers:
        for _ in range(times):
            await writers.go_on()
            for _again in range(random.randint(1, 4)):  # noqa: S311
                await asyncio.sleep(random.uniform(0, _LONGEST_WAIT))  # noqa: S311
                writers.cancel_calls()
        await writers.all_move_on()
    return (await writers.row(url, fault, times)).none_refused()
