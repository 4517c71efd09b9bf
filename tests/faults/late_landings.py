"""Writes that wait in the server land after their connections broke, while others wait for them on new connections."""

from __future__ import annotations

import psycopg

from sessionstore.testing.postgres import Database
from tests.support.bystander import dsn, until, until_blocked

from .proxy import Proxy
from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import Writers

_FAULT = "write lands late, after its connection was cut"

_AGAIN = "wait_event_type = 'Lock' AND backend_start > '%s'"
"""A writer is on a new connection by then, and waits for a write that was sent on one of the old ones."""

LOCK = 4711
# The row is locked by then, as it is while a write waits for a standby or for the disk. Writers share the lock.
WAITING = (
    f"""
    CREATE FUNCTION waiting() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN new; END $$
    """,
    """
    CREATE TRIGGER waiting BEFORE UPDATE OF state, last_position ON sessionstore.sessions
    FOR EACH ROW EXECUTE FUNCTION waiting()
    """,
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
        async with Writers(storage) as writers:
            await writers.all_move_on()
            for _ in range(times):
                await bystander.execute("SELECT pg_advisory_lock(%s)", [LOCK])
                await until_blocked(database)
                left = await (await bystander.execute("SELECT clock_timestamp()::text")).fetchone()
                assert left is not None
                proxy.leave()
                await until(database, f"SELECT count(*) > 0 FROM pg_stat_activity WHERE {_AGAIN % left}")
                await bystander.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
                await writers.go_on()
        return await writers.row(database.url, _FAULT, times)
