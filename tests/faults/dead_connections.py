"""All connections go dead without a word, while new ones work: as behind a firewall that forgot them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from sessionstore.testing.postgres import Database

from .proxy import Proxy
from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import Writers

_SECONDS = 1.0
_FAULTS = {
    f"connections silently dead, timeout of callers {_SECONDS:g} s": timedelta(seconds=_SECONDS),
    f"connections silently dead, statement_timeout {_SECONDS:g} s": None,
}


async def dead_connections(cluster: Cluster, times: int) -> list[Row]:
    """So many times under callers with a timeout, and as often under those without."""
    return [await each_way(cluster, times, partial(_one_way, name)) for name in _FAULTS]


async def _one_way(fault: str, database: Database, driver: str, times: int) -> Row:
    timeout = _FAULTS[fault]
    bound = {"statement_timeout": _SECONDS} if timeout is None else {}
    async with Proxy(database.url) as proxy, through(proxy.url, driver, **bound) as storage:
        async with Writers(storage, timeout=timeout) as writers:
            await writers.all_move_on()
            for _ in range(times):
                assert proxy.silence() > 0
                await writers.go_on()
        return await writers.row(database.url, fault, times)
