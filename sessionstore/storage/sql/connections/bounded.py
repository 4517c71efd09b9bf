"""Runs an operation with a time limit. If the caller is cancelled or the time is up, leaves the operation midway."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from math import inf
from typing import Any, TypeVar

from ....concurrency.forks import born, keep_for_parent

R = TypeVar("R")


class Left(Exception):
    """An operation was left in the middle of a statement.

    Attributes:
        rest: The coroutine of the operation, to be given to ended().
        cancelled: The cancellation of the caller. None: the time was up.
        waited: For how many seconds the operation had been under way.
    """

    def __init__(
        self, rest: Coroutine[Any, Any, Any], cancelled: asyncio.CancelledError | None, *, waited: float
    ) -> None:
        super().__init__()
        self.rest = rest
        self.cancelled = cancelled
        self.waited = waited


class _Watch:
    """Wakes an operation when its time is up."""

    def __init__(self) -> None:
        self._over = False
        self.waiting: Any = None

    def over(self) -> bool:
        return self._over

    def end(self) -> None:
        self._over = True
        if self.waiting is not None and not self.waiting.done():
            # Only the wait is cancelled. The task is not, because its caller would see that.
            self.waiting.cancel()


@types.coroutine
def bounded(running: Coroutine[Any, Any, R], seconds: float) -> Generator[Any, Any, R]:
    """Runs an operation in the task of its caller. A task of its own would cost a quarter of a round trip.

    A driver that is cancelled sends a message to the server first. On a dead network this holds up the caller for
    seconds. So the driver is not cancelled here. ended() cancels it later, in another task.

    Args:
        running: The operation.
        seconds: The time limit.

    Raises:
        Left: The caller was cancelled, or the time is up.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    watch = _Watch()
    timer = None if seconds == inf else loop.call_at(began + seconds, watch.end)
    # No variable refers to the task: see Update.
    cancelled_before = _cancellations(loop)
    error: BaseException | None = None
    try:
        while True:
            try:
                watch.waiting = running.send(None) if error is None else running.throw(error)
            except StopIteration as end:
                result: R = end.value
                return result
            error = None
            if watch.over():
                # The time was up while the answer to the statement before arrived, and the next statement was sent.
                watch.end()
                raise Left(running, None, waited=loop.time() - began)
            try:
                yield watch.waiting
            except GeneratorExit:
                running.close()
                raise
            except asyncio.CancelledError as raised:
                cancelled = _cancellations(loop) > cancelled_before
                if cancelled or watch.over():
                    raise Left(running, raised if cancelled else None, waited=loop.time() - began) from None
                error = raised  # of the future that the driver waits for
            except BaseException as raised:  # noqa: BLE001  # of the same future
                error = raised
            finally:
                watch.waiting = None
    finally:
        if timer is not None:
            timer.cancel()


def _cancellations(loop: asyncio.AbstractEventLoop) -> int:
    """How many times the running task was asked to end."""
    task = asyncio.current_task(loop)
    return 0 if task is None else task.cancelling()


async def ended(rest: Coroutine[Any, Any, Any]) -> None:
    """Cancels an operation that was left in the middle, and runs it until its driver is done with it."""
    await carried_on(rest, asyncio.CancelledError())


@types.coroutine
def carried_on(
    running: Coroutine[Any, Any, R], error: BaseException | None = None, *, process: float | None = None
) -> Generator[Any, Any, R]:
    """Runs a coroutine to its end.

    Args:
        running: The coroutine, which may be in the middle of a wait.
        error: The error that the wait raises; None: the wait raises none.
        process: The process to run in, by born(). In a child of it the coroutine is kept as it is, because it may wait
            for a thread of the parent. None: any process.

    Raises:
        CancelledError: This is another process.
    """
    try:
        while True:
            if process is not None and born() != process:
                keep_for_parent(running)
                raise asyncio.CancelledError
            try:
                waiting = running.send(None) if error is None else running.throw(error)
            except StopIteration as end:
                result: R = end.value
                return result
            error = None
            try:
                yield waiting
            except GeneratorExit:
                running.close()
                raise
            except BaseException as raised:  # noqa: BLE001  # it is the coroutine's
                error = raised
    finally:
        error = None  # or the exception, its frames and this frame would refer to each other
