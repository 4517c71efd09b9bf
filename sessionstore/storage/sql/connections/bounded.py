"""Operations that are left in the middle: because their caller is gone, or because they took too long."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from math import inf
from typing import Any, TypeVar

R = TypeVar("R")


class Left(Exception):
    """An operation was left in the middle of a statement.

    Attributes:
        rest: What is left of it; see ended().
        cancelled: What cancelled it; None: its time was up.
        waited: For how many seconds it had been under way.
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
            # As cancelling the task would do, of which nobody else shall hear.
            self.waiting.cancel()


@types.coroutine
def bounded(running: Coroutine[Any, Any, R], seconds: float) -> Generator[Any, Any, R]:
    """Runs an operation in the task of its caller, without a task of its own: that costs a quarter of a round trip.

    A driver that is cancelled takes its time to say so to the server, and holds up its caller for seconds where the
    network swallows everything. So the driver does not hear of it here; ended() tells it, in another task.

    Args:
        running: What to run.
        seconds: For how long at most.

    Raises:
        Left: The caller was cancelled, or the time is up.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    watch = _Watch()
    timer = None if seconds == inf else loop.call_at(began + seconds, watch.end)
    task = asyncio.current_task()
    cancelled_before = 0 if task is None else task.cancelling()
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
                raise Left(running, None, waited=loop.time() - began)
            try:
                yield watch.waiting
            except GeneratorExit:
                running.close()
                raise
            except asyncio.CancelledError as raised:
                cancelled = task is not None and task.cancelling() > cancelled_before
                if cancelled or watch.over():
                    raise Left(running, raised if cancelled else None, waited=loop.time() - began) from None
                error = raised  # of what is waited for
            except BaseException as raised:  # noqa: BLE001  # the same
                error = raised
            finally:
                watch.waiting = None
    finally:
        if timer is not None:
            timer.cancel()


@types.coroutine
def ended(rest: Coroutine[Any, Any, Any]) -> Generator[Any, Any, None]:
    """Cancels what is left of an operation, and runs it until its driver has come to an end with it."""
    error: BaseException | None = asyncio.CancelledError()
    while True:
        try:
            waiting = rest.send(None) if error is None else rest.throw(error)
        except StopIteration:
            return
        error = None
        try:
            yield waiting
        except GeneratorExit:
            rest.close()
            raise
        except BaseException as raised:  # noqa: BLE001  # it is the operation's
            error = raised
