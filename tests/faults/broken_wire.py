"""The way to the server breaks: before a write arrives, while it is answered, or after it was committed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sessionstore import open_storage

from .proxy import Fault, Proxy
from .server import Cluster
from .tally import Row
from .writers import Writers

_TIMEOUT = timedelta(milliseconds=300)


async def broken_wire(cluster: Cluster, times: int) -> list[Row]:
    """Each kind of fault so many times."""
    return [await _one_kind(cluster, fault, times) for fault in Fault]


async def _one_kind(cluster: Cluster, fault: Fault, times: int) -> Row:
    async with cluster.server.fresh_database_async() as database:
        await asyncio.to_thread(database.migrate)
        async with Proxy(database.url) as proxy, open_storage(proxy.url) as storage:
            # Nobody else would notice a connection that stalls.
            timeout = _TIMEOUT if fault is Fault.STALL else None
            async with Writers(storage, timeout=timeout) as writers:
                await writers.all_move_on()
                for _ in range(times):
                    await proxy.strike(fault)
                    if fault is Fault.STALL:
                        await writers.someone_gives_up()
                        proxy.heal()
                    await writers.all_move_on()
            return await writers.row(database.url, fault.value, times)
