"""A name is switched to the standby before the standby writes, and the old primary only reads before it ends."""

from __future__ import annotations

import asyncio

from sessionstore.testing.postgres import Database
from tests.support.bystander import ask

from .failover import attach
from .proxy import Proxy
from .server import Cluster, clusters
from .tally import Row, together
from .ways import WAYS, through
from .writers import Writers

_FAULT = "primary demoted, name switched, standby promoted"
_ONLY_READ = ("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")


async def switched_name(_: Cluster, times: int) -> list[Row]:
    """So many times, on servers of its own: the one that was demoted comes back as the standby of the other."""
    shares = [(times + n) // len(WAYS) for n in reversed(range(len(WAYS)))]
    return [together([await _one_way(driver, share) for driver, share in zip(WAYS, shares, strict=True)])]


async def _one_way(driver: str, times: int) -> Row:
    with clusters(2) as servers:
        primary, standby = servers
        await asyncio.to_thread(primary.initialize)
        await asyncio.to_thread(primary.start)
        await asyncio.to_thread(Database(primary.url).migrate)
        async with Proxy(primary.url) as proxy, through(proxy.url, driver) as storage:
            async with Writers(storage) as writers:
                for _ in range(times):
                    await attach(standby, primary)
                    await writers.all_move_on()
                    for statement in _ONLY_READ:
                        await asyncio.to_thread(ask, Database(primary.url), statement)
                    await writers.someone_gives_up()
                    proxy.lead_to(standby.url)
                    await writers.someone_gives_up()
                    await asyncio.to_thread(ask, Database(standby.url), "SELECT pg_promote()")
                    await asyncio.to_thread(primary.stop, immediately=True)
                    primary, standby = standby, primary
                    await writers.go_on()
            return await writers.row(primary.url, _FAULT, times)
