"""Cancels a coroutine at the place where it is suspended for the n-th time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from enum import Enum
from functools import partial
from typing import Any, Generic, TypeVar

R = TypeVar("R")


class When(Enum):
    """When the cancellation comes."""

    WAITING = "while it waits"
    READY = "when what it waits for is there, and it has not seen it yet"


class CancelledAt(Generic[R]):
    """Awaits a coroutine and cancels the task in which it does so at a suspension of the coroutine, counted from 1.

    Attributes:
        suspended: How often it was suspended so far.
        reached: Whether it came as far as to be cancelled.
    """

    def __init__(self, running: Coroutine[Any, Any, R], at: int, when: When) -> None:
        self.suspended = 0
        self.reached = False
        self._running = running
        self._at = at
        self._when = when

    def __await__(self) -> Generator[Any, Any, R]:
        task = asyncio.current_task()
        assert task is not None
        step = partial(self._running.send, None)
        while True:
            try:
                waiting_for = step()
            except StopIteration as end:
                returned: R = end.value
                return returned
            self.suspended += 1
            if self.suspended == self._at:
                self.reached = True
                if waiting_for is None or self._when is When.WAITING:
                    task.cancel()
                else:
                    # Called before the task learns of it, because it was asked for before.
                    waiting_for.add_done_callback(lambda _: task.cancel())
            try:
                yield waiting_for
            except BaseException as error:  # noqa: BLE001  # it is the coroutine's
                step = partial(self._running.throw, error)
            else:
                step = partial(self._running.send, None)
