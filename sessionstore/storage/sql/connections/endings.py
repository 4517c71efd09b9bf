"""How a connection ends: given back to its pool, closed, dropped, or closed in the middle of a statement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from contextvars import Context
from typing import Any, Final

from sqlalchemy.util import greenlet_spawn

from ....concurrency.forks import born, keep_for_parent
from ....concurrency.tasks import Held, quiet
from ..drivers.driver import Driver
from .bounded import Left, ended
from .engine import CONNECT_SECONDS
from .lease import Lease, ask_beside
from .modes import Mode
from .pools import LoopPool

_LOG: Final = logging.getLogger("sessionstore.storage")


class Endings:
    """Ends the connections of one event loop, some of them in tasks of their own.

    Args:
        pool: The pool that connections are taken from now.
        mode: Puts a connection back into the mode in which it came.
        driver: Closes connections.
    """

    def __init__(self, pool: LoopPool, mode: Mode, driver: Driver) -> None:
        self._pool = pool
        self._mode = mode
        self._driver = driver
        self._process = born()
        self._tasks: set[asyncio.Task[bool]] = set()

    async def give_back(self, lease: Lease) -> None:
        """Gives a connection back to its pool, in the mode in which it came; closes it if it has an open transaction.

        After `dispose()`, the engine of a service has another pool, and nobody would close a connection that goes back
        into the first pool. So such a connection is closed too.
        """
        if lease.pool is not self._pool() or self._mode.in_transaction(lease.driver):
            await self._part_with(lease, lease.discard)
            return
        if lease.before is not None:
            try:
                await self._mode.leave(lease.driver, lease.before)
            except Exception:  # noqa: BLE001  # the connection broke; the operation on it is done all the same
                await self._part_with(lease, lease.discard)
                return
            except BaseException:
                await self._part_with(lease, lease.discard)
                raise
        await self._part_with(lease, lease.close)

    async def close(self, leases: Iterable[Lease]) -> None:
        """Closes connections, and waits until each is closed."""
        for lease in leases:
            await self._part_with(lease, lease.discard)

    def drop(self, leases: Iterable[Lease]) -> None:
        """Closes connections and gives back their places in the pool, without waiting for anything."""
        for lease in leases:
            lease.let_go()
            self._driver.drop(lease.driver)

    def cut_off(self, lease: Lease, left: Left) -> asyncio.Task[bool]:
        """Cancels the statement that was left on a connection, and closes the connection, in a task.

        Returns:
            The task, whose result is whether the server answered.
        """
        return self.beside(_cut_off(left.rest, lease.driver, self._driver))

    def end_transaction(self, lease: Lease) -> None:
        """Ends the transaction of a lost connection from another connection, if it may be open, in a task."""
        if lease.ending is not None:
            _ = self.beside(self._ask_to_end(lease.pool, lease.ending))

    async def _ask_to_end(self, pool: Any, query: str) -> bool:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await ask_beside(pool, self._driver, query)
        except Exception as error:  # noqa: BLE001  # no call waits for it, and the server ends the transaction later
            _LOG.debug("a transaction of a lost connection could not be ended", extra={"error": type(error).__name__})
            return False
        return True

    def beside(self, running: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
        """Runs a coroutine that no call waits for, in a task that ends with the connections."""
        task = quiet(asyncio.get_running_loop().create_task(Held(running), context=Context()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def cancel(self) -> None:
        """Cancels all tasks, and waits for their end."""
        if tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def abandon(self) -> None:
        """Forgets all tasks after their loop was closed."""
        for task in self._tasks:
            # Otherwise asyncio would log that the task is still pending. Nobody can end it any more.
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue]

    async def _part_with(self, lease: Lease, part: Callable[[], None]) -> None:
        """Closes a connection or gives it back. An error of the service's own events does not end the operation."""
        if born() != self._process:
            keep_for_parent(lease)
            return
        try:
            await greenlet_spawn(part)
        except Exception as error:  # noqa: BLE001  # an event may raise anything
            self.drop([lease])
            _LOG.warning(
                "an event of the engine's pool failed when a connection was given back, and the connection was closed",
                extra={"error": type(error).__name__},
            )


async def _cut_off(rest: Coroutine[Any, Any, Any], connection: Any, driver: Driver) -> bool:
    with suppress(Exception, asyncio.CancelledError):  # no caller waits for the outcome of the statement any more
        await ended(rest)
    return await driver.end(connection)
