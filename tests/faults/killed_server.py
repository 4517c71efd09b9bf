"""The server dies under its clients and comes back on the same data; nobody opens the storage anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sessionstore import open_storage

from .server import Cluster
from .tally import Row
from .writers import Writers


def _kill(cluster: Cluster) -> None:
    cluster.kill()
    cluster.start()


def _stop_immediately(cluster: Cluster) -> None:
    cluster.stop(immediately=True)
    cluster.start()


def _kill_backend(cluster: Cluster) -> None:
    cluster.kill_backend()


_WAYS: dict[str, Callable[[Cluster], None]] = {
    "server killed (kill -9), restarted": _kill,
    "server stopped (immediate), restarted": _stop_immediately,
    "server process of a connection killed": _kill_backend,
}


async def killed_server(cluster: Cluster, times: int) -> list[Row]:
    """Each of the ways so many times."""
    return [await _one_way(cluster, name, times) for name in _WAYS]


async def _one_way(cluster: Cluster, name: str, times: int) -> Row:
    async with cluster.server.fresh_database_async() as database:
        await asyncio.to_thread(database.migrate)
        async with open_storage(database.url) as storage:
            async with Writers(storage) as writers:
                await writers.all_move_on()
                for _ in range(times):
                    await asyncio.to_thread(_WAYS[name], cluster)
                    await writers.all_move_on()
            return await writers.row(database.url, name, times)
