"""The two ways to a provider on a database: open_storage(), and a service's own engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

from sessionstore import Batching, SqlStorageProvider, open_storage
from sessionstore.storage import Clock

WAYS = ("open_storage", "service-engine")


@asynccontextmanager
async def opened(
    way: str,
    url: str,
    *,
    clock: Clock | None = None,
    pool_size: int = 10,
    batching: Batching | None = Batching(),  # noqa: B008  # it is frozen
) -> AsyncIterator[SqlStorageProvider]:
    """A provider with so many connections; the service's engine is one as SQLAlchemy makes it, without AUTOCOMMIT."""
    options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": 0}
    if way == "open_storage":
        async with open_storage(url, clock=clock, batching=batching, **options) as storage:
            assert isinstance(storage, SqlStorageProvider)
            yield storage
        return
    engine = create_async_engine(url, **options)
    try:
        yield SqlStorageProvider(engine, clock=clock, batching=batching)
    finally:
        await engine.dispose()


def pool_of(storage: SqlStorageProvider) -> QueuePool:
    """The pool of a provider's engine."""
    pool = storage._gateway._async_engine.sync_engine.pool
    assert isinstance(pool, QueuePool)
    return pool


def in_use(storage: SqlStorageProvider) -> int:
    """How many connections are neither in the pool nor kept for the next operation."""
    return pool_of(storage).checkedout() - storage._gateway.channel.connections.idle


async def all_given_back(storage: SqlStorageProvider, seconds: float = 20) -> None:
    """Waits until no connection is in use. What was cancelled or left ends soon, and signals nothing."""
    async with asyncio.timeout(seconds):
        while in_use(storage):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def disconnect(storage: SqlStorageProvider) -> None:
    """Ends all connections, also those of a service's engine."""
    connections = storage._gateway.channel.connections
    for lease in connections._remains.take_all():
        await greenlet_spawn(lease.close)
    await greenlet_spawn(connections._maker._pool().dispose)
