"""Indexes of keys are built anew while callers of two storages create the same sessions and append the same items."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import psycopg

from sessionstore import StorageProvider
from sessionstore.testing.postgres import Database
from tests.support.bystander import dsn

from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import sessions_of

_FAULT = "indexes built anew (REINDEX CONCURRENTLY) under creations"
_TABLES = ("sessions", "items")
_CREATORS = 8
_EXPECTED = ["1 created", "2 appended"]
_ITEMS = b"""
    SELECT session_id, array_agg(position || ' ' || (item #>> '{}') ORDER BY position)
    FROM sessionstore.items GROUP BY session_id
"""
_PATIENCE = 60.0


async def rebuilt_index(cluster: Cluster, times: int) -> list[Row]:
    """So many times. Counted are sessions instead of updates, each of which two callers ask for.

    A session is created with an item. Each of the two callers then appends one item, with the same id.
    """
    return [await each_way(cluster, times, _one_way)]


class _Creators:
    """Callers who create sessions and append to them without a pause, and what they were told."""

    def __init__(self, fault: str, times: int) -> None:
        self.row = Row(fault, times)
        self.created: Counter[str] = Counter()
        self.over = False
        self._moved_on = asyncio.Event()
        self._enough = 0

    async def all_move_on(self) -> None:
        """Waits until so many more answers came as there are creators."""
        self._enough = len(self.created) + _CREATORS
        self._moved_on.clear()
        async with asyncio.timeout(_PATIENCE):
            await self._moved_on.wait()

    async def create(self, storage: StorageProvider, creator: int) -> None:
        manager = sessions_of(storage)
        for number in itertools.takewhile(lambda _: not self.over, itertools.count()):
            try:
                result = await manager.create_session(f"{creator}-{number}", items=["created"])
                appended = await manager.append_items(result.session_id, ["appended"], ids=[result.session_id])
            except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
                self.row.wrong.append(f"{type(error).__name__}: {error} (from {error.__cause__!r})")
            else:
                self.created[result.session_id] += result.created
                if not appended.success:
                    self.row.wrong.append(repr(appended.error))
                if len(self.created) >= self._enough:
                    self._moved_on.set()


async def _one_way(database: Database, driver: str, times: int) -> Row:
    creators = _Creators(_FAULT, times)
    async with (
        through(database.url, driver) as storage,
        through(database.url, driver) as other,
        await psycopg.AsyncConnection.connect(dsn(database.url), autocommit=True) as bystander,
    ):
        calls = [creators.create(each, n) for each in (storage, other) for n in range(_CREATORS)]
        tasks = [asyncio.create_task(call) for call in calls]
        for at in range(times):
            table = _TABLES[at % len(_TABLES)]
            await bystander.execute(f"REINDEX TABLE CONCURRENTLY sessionstore.{table}".encode())
            await creators.all_move_on()
        creators.over = True
        await asyncio.gather(*tasks)
        rows = await (await bystander.execute("SELECT session_id FROM sessionstore.sessions")).fetchall()
        items = await (await bystander.execute(_ITEMS)).fetchall()
    there = {session for (session,) in rows}
    row = creators.row
    row.acknowledged = creators.created.total()
    row.lost = len(creators.created.keys() - there)
    row.doubled = sum(max(0, count - 1) for count in creators.created.values()) + len(rows) - len(there)
    row.wrong += [f"{session} has the items {found}" for session, found in items if found != _EXPECTED]
    row.wrong += [f"{len(items)} sessions have items, of {len(there)}"] if len(items) != len(there) else []
    row.wrong += [f"nobody was told of having created {name}" for name, count in creators.created.items() if not count]
    return row
