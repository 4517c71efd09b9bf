"""The server dies under its clients and comes back on the same data; nobody opens the storage anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from sessionstore.testing.postgres import Database

from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import Writers


def _kill(cluster: Cluster) -> None:
    cluster.kill()
    cluster.start()


def _stop_immediately(cluster: Cluster) -> None:
    cluster.stop(immediately=True)
    cluster.start()


def _kill_backend(cluster: Cluster) -> None:
    cluster.kill_backend()


_FAULTS: dict[str, Callable[[Cluster], None]] = {
    "server killed (kill -9), restarted": _kill,
    "server stopped (immediate), restarted": _stop_immediately,
    "server process of a connection killed": _kill_backend,
}


async def killed_server(cluster: Cluster, times: int) -> list[Row]:
    """Each of the faults so many times."""
    return [await each_way(cluster, times, partial(_one_fault, cluster, name)) for name in _FAULTS]


async def _one_fault(cluster: Cluster, name: str, database: Database, driver: str, times: int) -> Row:
    async with through(database.url, driver) as storage:
        async with Writers(storage) as writers:
            await writers.all_move_on()
            for _ in range(times):
                await asyncio.to_thread(_FAULTS[name], cluster)
                await writers.go_on()
        return await writers.row(database.url, name, times)
