"""Writes that wait in the server land after their connections broke, and after they were sent once more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psycopg

from sessionstore.storage import Summary, Write
from tests.support.bystander import dsn, until_blocked
from tests.support.postgres import Database

from .proxy import Proxy
from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import Writers

_PATIENCE = 60.0
_FAULT = "write lands late, after its connection was cut"

LOCK = 4711
# The row is locked by then, as it is while a write waits for a standby or for the disk. Writers share the lock.
WAITING = (
    f"""
    CREATE FUNCTION waiting() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN new; END $$
    """,
    "CREATE TRIGGER waiting BEFORE UPDATE OF state ON sessionstore.sessions FOR EACH ROW EXECUTE FUNCTION waiting()",
)


async def late_landings(cluster: Cluster, times: int) -> list[Row]:
    """So many times."""
    return [await each_way(cluster, times, _one_way)]


async def _one_way(database: Database, driver: str, times: int) -> Row:
    async with (
        Proxy(database.url) as proxy,
        through(proxy.url, driver) as storage,
        await psycopg.AsyncConnection.connect(dsn(database.url), autocommit=True) as bystander,
    ):
        for statement in WAITING:
            await bystander.execute(statement.encode())
        sent_again = asyncio.Event()
        seen: set[str] = set()
        plain = storage.update_many

        async def writing(writes: Sequence[Write]) -> Sequence[Summary | None]:
            if not seen.isdisjoint(write.id for write in writes):
                sent_again.set()
            seen.update(write.id for write in writes)
            return await plain(writes)

        storage.update_many = writing  # type: ignore[method-assign]
        async with Writers(storage) as writers:
            await writers.all_move_on()
            for _ in range(times):
                await bystander.execute("SELECT pg_advisory_lock(%s)", [LOCK])
                await until_blocked(database)
                sent_again.clear()
                proxy.leave()
                async with asyncio.timeout(_PATIENCE):
                    await sent_again.wait()
                await bystander.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
                await writers.go_on()
        return await writers.row(database.url, _FAULT, times)
