"""Connections of an engine: taken for one operation, and given back whole or broken."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Pool, PoolProxiedConnection, QueuePool
from sqlalchemy.util import greenlet_spawn

from ...deadline import ended

R = TypeVar("R")


class Lease:
    """A connection out of the engine's pool.

    Attributes:
        driver: The driver's own connection, to run statements on.
        pooled: The pool's.
        spoilt: Whether it must not be used again.
    """

    def __init__(self, taken: Connection | PoolProxiedConnection, pooled: PoolProxiedConnection) -> None:
        self.driver: Any = pooled.driver_connection
        self.pooled = pooled
        self.spoilt = False
        self._taken = taken

    def close(self) -> None:
        """Gives it back to the pool."""
        self._taken.close()

    def discard(self) -> None:
        """Closes it for good."""
        if self.pooled.is_valid:
            self.pooled.invalidate()
        self._taken.close()


class Connections:
    """Takes connections out of the pool of an engine.

    The pool of SQLAlchemy wants a greenlet around it, and with that a check-out and a check-in take a quarter of the
    time that reading a session takes. So those of our own engine stay out between operations; those of others go back.

    Args:
        engine: Whose connections they are.
        pool: The pool to take them from, if they are ours.
        owned: Whether engine.py made the engine: its connections are in AUTOCOMMIT from the beginning. Those of
            others are put into it when they are taken, and out of it when they are given back.
    """

    def __init__(self, engine: Engine, pool: Pool, *, owned: bool) -> None:
        self._engine = engine if owned else engine.execution_options(isolation_level="AUTOCOMMIT")
        self._pool = pool
        self._owned = owned
        self._idle: list[Lease] = []
        self._most_idle = _most_idle(pool) if owned else 0
        self._closed = False

    @property
    def idle(self) -> int:
        """How many lie here, to be used again."""
        return len(self._idle)

    async def take(self) -> Lease:
        """A connection: an idle one, or the pool's."""
        return self._idle.pop() if self._idle else await greenlet_spawn(self._take)

    async def give_back(self, lease: Lease) -> None:
        """Takes a connection back that is as good as it was."""
        if self._closed and self._owned:
            await to_its_end(_discard([lease]))  # its pool is disposed of, or about to be
        elif len(self._idle) < self._most_idle:
            self._idle.append(lease)
        else:
            await greenlet_spawn(lease.close)

    async def discard(self, lease: Lease, *, lost: bool) -> None:
        """Closes a connection of which nobody knows what is still to come on it.

        Args:
            lease: Which.
            lost: Whether it broke. Then those that lay idle meanwhile are as suspicious, and are replaced as well.
        """
        if lost:
            # There is no public name for it; SQLAlchemy itself does it where it sees a connection break.
            pool = self._pool if self._owned else self._engine.pool
            pool._invalidate(lease.pooled, _checkin=False)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        # Also where the operation is cancelled meanwhile: closing says goodbye to the server, and may take its time.
        await to_its_end(_discard([lease, *(self._forget_idle() if lost else ())]))

    async def close(self) -> None:
        """Gives the idle ones back to the pool. Those in use are closed when they are given back, if they are ours."""
        self._closed = True
        self._most_idle = 0
        for lease in self._forget_idle():
            await greenlet_spawn(lease.close)
        if self._owned:
            await greenlet_spawn(self._pool.dispose)

    def abandon(self) -> None:
        """Forgets the connections of a loop that was closed."""
        self._closed = True
        self._most_idle = 0
        self._forget_idle()

    def _forget_idle(self) -> list[Lease]:
        forgotten, self._idle = self._idle, []
        return forgotten

    def _take(self) -> Lease:
        if self._owned:
            pooled = self._pool.connect()
            return Lease(pooled, pooled)
        connection = self._engine.connect()
        return Lease(connection, connection.connection)


async def _discard(leases: Iterable[Lease]) -> None:
    for lease in leases:
        await greenlet_spawn(lease.discard)


def _most_idle(pool: Any) -> int:
    """How many connections the pool keeps, if it has nothing to do when one is taken from it or given back to it."""
    # There are no public names for what it was told.
    if not isinstance(pool, QueuePool) or pool._pre_ping or pool._recycle > -1:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return 0
    return pool.size()


async def to_its_end(running: Coroutine[Any, Any, R]) -> R:
    """Waits for something also when it is cancelled, so that it leaves nothing behind; then it is cancelled."""
    task = asyncio.ensure_future(running)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await ended(task)
        raise
