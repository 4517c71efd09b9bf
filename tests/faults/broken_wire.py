"""The way to the server breaks: before a write arrives, while it is answered, or after it was committed."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from sessionstore.testing.postgres import Database

from .proxy import Fault, Proxy
from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import Writers

_TIMEOUT = timedelta(milliseconds=300)


async def broken_wire(cluster: Cluster, times: int) -> list[Row]:
    """Each kind of fault so many times."""
    return [await each_way(cluster, times, partial(_one_kind, fault)) for fault in Fault]


async def _one_kind(fault: Fault, database: Database, driver: str, times: int) -> Row:
    async with Proxy(database.url) as proxy, through(proxy.url, driver) as storage:
        # Nobody else would notice a connection that stalls.
        timeout = _TIMEOUT if fault is Fault.STALL else None
        async with Writers(storage, timeout=timeout) as writers:
            await writers.all_move_on()
            for _ in range(times):
                await proxy.strike(fault)
                if fault is Fault.STALL:
                    await writers.someone_gives_up()
                    proxy.heal()
                await writers.go_on()
        return await writers.row(database.url, fault.value, times)
