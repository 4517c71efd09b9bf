"""Somebody else holds the row of a session, for longer than its callers wait, while the others go on."""

from __future__ import annotations

from datetime import timedelta

import psycopg

from sessionstore.testing.postgres import Database
from tests.support.bystander import dsn

from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import Writers

_TIMEOUT = timedelta(milliseconds=300)


async def held_row(cluster: Cluster, times: int) -> list[Row]:
    """So many times."""
    return [await each_way(cluster, times, _one_way)]


async def _one_way(database: Database, driver: str, times: int) -> Row:
    async with through(database.url, driver) as storage:
        async with Writers(storage, timeout=_TIMEOUT) as writers:
            await writers.all_move_on()
            for _ in range(times):
                async with await psycopg.AsyncConnection.connect(dsn(database.url)) as other:
                    await other.execute(
                        "SELECT FROM sessionstore.sessions WHERE session_id = "
                        "(SELECT session_id FROM sessionstore.sessions ORDER BY random() LIMIT 1) FOR UPDATE"
                    )
                    await writers.someone_gives_up()
                    await other.rollback()
                await writers.go_on()
        return await writers.row(database.url, "row held by another transaction", times)
