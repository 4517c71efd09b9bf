"""The ways in which a service writes: through either driver, with updates going together or each by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

from sqlalchemy.engine import make_url

from sessionstore import StorageProvider, open_storage
from sessionstore.testing.postgres import Database, PostgresServer

from .server import Cluster
from .tally import Row, together

WAYS: Final[Mapping[str, Mapping[str, Any]]] = {"psycopg": {}, "asyncpg": {"batching": None}}
"""By driver: what else open_storage() is told."""

OneWay: TypeAlias = Callable[[Database, str, int], Awaitable[Row]]
"""Does something in a fresh database through a driver, so many times."""


def through(url: str, driver: str, **options: Any) -> StorageProvider:
    """Opens the storage of a URL in one of the ways."""
    changed = make_url(url).set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)
    return open_storage(changed, **{**WAYS[driver], **options})


@asynccontextmanager
async def migrated(server: PostgresServer) -> AsyncIterator[Database]:
    """A fresh database with the tables in it."""
    async with server.fresh_database_async() as database:
        await asyncio.to_thread(database.migrate)
        yield database


async def each_way(cluster: Cluster, times: int, one_way: OneWay) -> Row:
    """Does it so many times in all, in each of the ways by turns; one row for all of it."""
    shares = [(times + n) // len(WAYS) for n in reversed(range(len(WAYS)))]
    rows: list[Row] = []
    for driver, share in zip(WAYS, shares, strict=True):
        async with migrated(cluster.server) as database:
            rows.append(await one_way(database, driver, share))
    return together(rows)
