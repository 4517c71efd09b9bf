"""A lease: a connection out of the pool of an engine, for one operation at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from traceback import clear_frames
from typing import Any, TypeVar

from sqlalchemy import PoolProxiedConnection, QueuePool
from sqlalchemy.util import greenlet_spawn

from ....concurrency.deadline import ended as waited_for
from ....concurrency.forks import born
from ....concurrency.sent import Sent
from ....concurrency.tasks import Held, quiet
from ..drivers.driver import Driver, Row
from ..drivers.prepared import Prepared
from ..statements.fields import of_first_shape
from .bounded import carried_on

R = TypeVar("R")


class NeedsNewest(Exception):
    """A statement has no form for the tables of the previous revision. It was not sent."""


class Lease:
    """A connection out of the engine's pool.

    Attributes:
        driver: The driver's own connection, to run statements on.
        pool: The pool of the connection.
        pooled: The pool's connection.
        before: The setting from before AUTOCOMMIT, to be put back. None: there is nothing to put back.
        spoilt: Whether the connection must not be used again.
        generation: The generation of the connection, see Connections.discard().
        ending: A query that ends the transaction that may be open, from another connection; None: there is none.
        previous: Whether statements take their form for the tables of the previous revision.
        rested: When the connection was given back last, by the monotonic clock.
        sent: Where the operation will report its write, just before a statement that commits by itself, or before the
            COMMIT of a transaction. None: no caller wants the report, or the write was reported.
        reported: Where the operation has reported its write; None: nowhere.
        since: When the connection was taken out of the pool for the first time, by the same clock.
    """

    def __init__(self, pool: Any, pooled: PoolProxiedConnection) -> None:
        self.driver: Any = pooled.driver_connection
        self.pool = pool
        self.pooled = pooled
        self.before: object = None
        self.spoilt = False
        self.generation = 0
        self.ending: str | None = None
        self.previous = False
        self.rested = 0.0
        self.sent: Sent | None = None
        self.reported: Sent | None = None
        self.since = 0.0

    async def fetch(self, statement: Prepared, params: Mapping[str, Any]) -> Sequence[Row]:
        """Runs a statement in the form for the revision of the tables, and returns its rows.

        Raises:
            NeedsNewest: The statement has no form for that revision, or a state has a shape version, for which that
                revision has no column.
            Outdated: A caller was told that nothing is written, and nothing was sent.
        """
        if self.previous:
            if statement.previous is None or not of_first_shape(params):
                raise NeedsNewest
            statement = statement.previous
        if self.sent is not None:
            self.report()
        return await statement.fetch(self.driver, params)

    def report(self) -> None:
        """Reports that the operation is about to write.

        Raises:
            Outdated: A caller was told that nothing is written. Nothing must be sent.
        """
        sent, self.sent = self.sent, None
        if sent is not None:
            sent.send()
            self.reported = sent

    def close(self) -> None:
        """Gives the connection back to the pool."""
        self.pooled.close()

    def let_go(self) -> None:
        """Gives the place in the pool back, and leaves the connection open. Waits for nothing."""
        pooled: Any = self.pooled
        if pooled.is_valid and not pooled.is_detached:
            pooled.detach()
            # There is no public name. Otherwise the garbage collector would close the connection through the loop.
            pooled._finalizer.detach()  # noqa: SLF001

    def outdate_pool(self) -> None:
        """Makes the pool replace each connection that it has now, at the next check-out of that connection."""
        # SQLAlchemy calls this method when it sees that a connection broke. The method has no public name.
        self.pool._invalidate(self.pooled, _checkin=False)  # noqa: SLF001

    def discard(self) -> None:
        """Closes the connection."""
        if self.pooled.is_valid:
            self.pooled.invalidate()
        self.pooled.close()


async def ask_beside(pool: Any, driver: Driver, sql: str) -> Sequence[Row]:
    """Runs a query on a new connection that is not in the pool, so that nobody waits for it; returns its rows.

    Args:
        pool: The pool whose settings the connection gets.
        driver: The driver of the connection.
        sql: The query.
    """
    another = pool.recreate()
    pooled = await of_pool(another)
    try:
        return await driver.fetch(pooled.driver_connection, sql, ())
    finally:
        await greenlet_spawn(pooled.invalidate)
        await greenlet_spawn(pooled.close)
        await greenlet_spawn(another.dispose)


async def of_pool(pool: Any) -> Any:
    """Checks a connection out of a pool."""
    try:
        return await greenlet_spawn(pool.connect)
    except asyncio.CancelledError as error:
        # psycopg does not close a connection that it was making. The error, its frames and the connection refer to each
        # other, so the server would keep the connection until the next garbage collection.
        clear_frames(error.__traceback__)  # frames that still run are left alone
        raise


def waits_for_nothing(pool: Any) -> bool:
    """Whether the pool waits for nothing when a connection is taken or given back."""
    # There are no public names for the settings of a pool.
    return (
        isinstance(pool, QueuePool)
        and not (pool._pre_ping or pool._recycle > -1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        and not (pool.dispatch.checkout or pool.dispatch.checkin or pool.dispatch.reset)
        and pool.checkedin() > 0
    )


def most_idle(pool: Any) -> int:
    """Returns how many idle connections may stay out of the pool; 0: the pool has to see each check-out."""
    # There are no public names for the settings of a pool.
    if not isinstance(pool, QueuePool) or pool._pre_ping or pool._recycle > -1:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return 0
    return pool.size()


async def to_its_end(running: Coroutine[Any, Any, R]) -> R:
    """Waits for the end of a coroutine also if the caller is cancelled, and raises the cancellation afterwards."""
    process = born()
    carried: Any = carried_on(running, process=process)
    held: Held[R] = Held(carried, running)
    task = quiet(asyncio.ensure_future(held))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if born() == process:  # a forked child must not wait: the thread of its parent is not there
            await waited_for(task)
        raise
