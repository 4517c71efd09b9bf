"""Closes the idle connections of a storage that was dropped without close(), without a log record."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from weakref import finalize, ref

from ....concurrency.forks import keep_for_parent
from .lease import Lease
from .modes import Mode
from .pools import LoopPool, idle


class Remains:
    """Closes idle connections once their user is garbage, or when the process ends.

    This object holds the idle connections, and does not refer to their user. So when the garbage collector finds the
    user, the connections are not garbage too. Otherwise SQLAlchemy would log an error for each connection.

    Attributes:
        leases: The idle connections that are out of the pool.
        found: Whether the user is garbage.

    Args:
        user: The object that uses the connections.
        pool: The pool of the connections.
        mode: Closes a connection without waiting.
    """

    def __init__(self, user: object, pool: LoopPool, mode: Mode) -> None:
        self.leases: list[Lease] = []
        self.found = False
        self._pool = pool
        self._mode = mode
        self._loop = ref(asyncio.get_running_loop())
        self._process = os.getpid()
        finalize(user, self._found)

    def take_all(self) -> list[Lease]:
        """Returns the idle connections that are out of the pool, and forgets them."""
        taken = self.leases.copy()
        self.leases.clear()
        return taken

    def _found(self) -> None:
        """Closes the connections. May be called in any thread, by the garbage collector or by `atexit`."""
        if os.getpid() != self._process:
            keep_for_parent(self)
            return
        self.found = True
        loop = self._loop()
        if loop is not None and loop.is_running() and not _runs_here(loop):
            # Only the thread of the loop may use its connections.
            with suppress(RuntimeError):  # the loop was closed a moment ago
                loop.call_soon_threadsafe(self._sever, self._let_go())
                return
        self._sever(self._let_go())

    def _let_go(self) -> list[Any]:
        """Takes the connections of the driver away from SQLAlchemy."""
        drivers: list[Any] = []
        for lease in self.take_all():
            lease.let_go()
            drivers.append(lease.driver)
        if self._pool.made:
            for pool in (self._pool.last, *self._pool.outdated):
                for record in idle(pool):
                    drivers.append(record.driver_connection)
                    record.dbapi_connection = None
        return drivers

    def _sever(self, drivers: Iterable[Any]) -> None:
        for driver in drivers:
            self._mode.sever(driver)


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
