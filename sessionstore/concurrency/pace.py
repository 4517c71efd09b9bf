"""The functions of callers, run so that others in the event loop have their turns between them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

SLICE: Final = 0.002
"""For how many seconds functions are run before others in the event loop have a turn."""

_MOST_AT_ONCE: Final = 64


class Pace:
    """Says when the next function may run.

    Functions of whatever tasks run one after the other until a slice of time is over. The others queue, and go on
    after a turn of the event loop, in their order: as many in one turn as probably fit into a slice.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: deque[asyncio.Future[None]] = deque()
        self._turning = False
        self._end = 0.0
        self._at_once = 1

    def free(self) -> bool:
        """Whether a function may run now. If not, it is run after turn()."""
        if self._queue:
            return False
        if self._turning:
            return self.in_time()
        self._begin()
        return True

    def in_time(self) -> bool:
        """Whether the slice is not over yet that began with the last turn."""
        return self._loop.time() <= self._end

    async def turn(self) -> None:
        """Waits until others have had their turn, and whoever came before."""
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
