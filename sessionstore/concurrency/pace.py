"""Pace: runs callers' functions in slices of 2 ms, so that they do not block the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

SLICE: Final = 0.002
"""For how many seconds functions run before the event loop gets a turn."""

_MOST_AT_ONCE: Final = 64


class Pace:
    """Decides when the next function may run.

    The functions of all tasks share a slice of time. When the slice is over, tasks queue. After each turn of the event
    loop as many of them go on as probably fit into a slice, first come, first served.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: deque[asyncio.Future[None]] = deque()
        self._turning = False
        self._end = 0.0
        self._at_once = 1

    def free(self) -> bool:
        """Whether a function may run now. If not, await turn() first."""
        if self._queue:
            return False
        if self._turning:
            return self.in_time()
        self._begin()
        return True

    def in_time(self) -> bool:
        """Whether the current slice is not over."""
        return self._loop.time() <= self._end

    async def turn(self) -> None:
        """Waits for a turn of the event loop, and for the tasks that queued before."""
        mine: asyncio.Future[None] = self._loop.create_future()
        self._queue.append(mine)
        if not self._turning:
            self._begin()
        await mine

    def _begin(self) -> None:
        self._turning = True
        self._end = self._loop.time() + SLICE
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turning = False
        if not self._queue:
            self._at_once = 1
            return
        self._at_once = min(2 * self._at_once, _MOST_AT_ONCE) if self.in_time() else 1
        for _ in range(min(self._at_once, len(self._queue))):
            mine = self._queue.popleft()
            if not mine.done():
                mine.set_result(None)
        self._begin()
