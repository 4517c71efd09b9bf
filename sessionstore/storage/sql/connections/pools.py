"""Chooses the pool from which an event loop takes its connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Dialect, Engine, Pool, QueuePool

from ....concurrency.forks import is_child, was_made_by_parent


class LoopPool:
    """The engine's own pool in the first event loop that uses it, else another pool with the same settings.

    Connections belong to the loop and to the process that made them, and so does a pool's queue once somebody waited
    in it. A service may use its engine in any loop of its own, and may dispose of it, after which the engine has a new
    pool.

    Attributes:
        outdated: Pools that were made here and are no longer used. They are to be disposed of.

    Args:
        engine: The engine.
        owned: Whether engine.py made the engine.
    """

    def __init__(self, engine: Engine, *, owned: bool) -> None:
        self._engine = engine
        self._owned = owned
        self._engines_own = self._used = engine.pool
        self.outdated: list[Any] = []
        self._choose(engine.pool)

    @property
    def made(self) -> bool:
        """Whether the pool ends with the loop, because nothing else uses the pool."""
        return self._owned or self._used is not self._engines_own

    def __call__(self) -> Any:
        """Returns the pool to take a connection from now."""
        # Only a service disposes of its engine. Nobody else has the engine that engine.py made.
        if not self._owned and self._engine.pool is not self._engines_own:
            self._choose(self._engine.pool)
        return self._used

    @property
    def dialect(self) -> Dialect:
        """The dialect of the engine."""
        return self._engine.dialect

    @property
    def last(self) -> Any:
        """The pool that connections were taken from so far."""
        return self._used

    def abandon(self) -> None:
        """Leaves the engine's pool alone after a loop was closed in the middle of calls of that pool.

        Such a call never gives its place in the pool back. The next loops would wait for the place until the timeout of
        the pool, so each of them uses a separate pool.
        """
        if not self.made and isinstance(self._used, QueuePool) and self._used.checkedout():
            _SHORT_OF_PLACES.add(self._used)

    def leave(self) -> None:
        """Uses a separate pool from now on, because the engine's pool has connections of another loop."""
        if not self.made:
            self._used = self._engines_own.recreate()

    def _choose(self, pool: Pool) -> None:
        if self._used is not self._engines_own:
            self.outdated.append(self._used)
        self._engines_own = pool
        self._used = pool if self._claims(pool) else pool.recreate()

    def _claims(self, pool: Pool) -> bool:
        """Whether the pool belongs to the running loop. A pool without a loop belongs to this loop from now on."""
        loop = asyncio.get_running_loop()
        owner = _OWNERS.setdefault(pool, loop)
        if self._owned:
            return owner is loop  # a loop that ended may still have connections out of the pool
        if owner is not loop and owner.is_closed():
            _OWNERS[pool] = owner = loop
        return owner is loop and pool not in _SHORT_OF_PLACES and not _used_elsewhere(pool, loop)


def _used_elsewhere(pool: Any, loop: asyncio.AbstractEventLoop) -> bool:
    """Whether connections of the pool, or tasks that wait for one, belong to another loop or to the parent process."""
    if isinstance(pool, QueuePool):
        if getattr(_queue(pool), "_loop", loop) not in (None, loop):
            return True
        if is_child() and pool.checkedout():
            return True  # in use when this process was forked, and never given back here
    return any(
        was_made_by_parent(record.starttime) or not made_in(loop, record.driver_connection) for record in idle(pool)
    )


def idle(pool: Any) -> Iterator[Any]:
    """Yields the records of a pool that have an idle connection."""
    if isinstance(pool, QueuePool):
        records = list(getattr(_queue(pool), "_queue", ()))
    else:
        records = [record] if (record := vars(pool).get("connection")) is not None else []  # of a StaticPool
    for record in records:
        if record.dbapi_connection is not None:
            yield record


def made_in(loop: asyncio.AbstractEventLoop, driver: Any) -> bool:
    """Whether a driver's connection works in this loop. psycopg and aiosqlite bind a connection to no loop."""
    return getattr(driver, "_loop", loop) is loop


def died_with_its_loop(driver: Any) -> bool:
    """Whether a driver's connection works in no loop any more."""
    loop: asyncio.AbstractEventLoop | None = getattr(driver, "_loop", None)
    return loop is not None and loop.is_closed()


def belongs_to(loop: asyncio.AbstractEventLoop, driver: Any) -> bool:
    """Whether a driver's connection works in this loop and in no other."""
    return getattr(driver, "_loop", None) is loop


def _queue(pool: Any) -> Any:
    # The pool's queue and asyncio's queue in it have no public names.
    return pool._pool._queue  # noqa: SLF001


_OWNERS: Final[WeakKeyDictionary[Pool, asyncio.AbstractEventLoop]] = WeakKeyDictionary()
_SHORT_OF_PLACES: Final[WeakSet[Pool]] = WeakSet()
"""Pools of services with places that nobody gives back."""
