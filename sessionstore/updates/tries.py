"""Tries: attempts to write waiting updates, one after the other. An attempt that hangs delays no other attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final

from ..concurrency.call import spawn
from .waiting import Entry

_HUNG: Final = 0.5
"""After so many seconds, the next try (of other sessions) starts beside a try that is still running."""
_MOST_AT_ONCE: Final = 4
"""The most tries that run at once."""
_REST, _LONGEST_REST = 3, 1.0
"""The pause after a try: three times the duration of the try, because a try may be heavy, but a second at most, because
a try that hung says nothing about the next one."""


class Tries:
    """Runs tries. Their entries are marked until the try ends.

    Args:
        loop: The event loop.
        ended: Is called at the end of a try, with its entries, and with whether the task of the try was cancelled.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ended: Callable[[Iterable[Entry], bool], None]) -> None:
        self._loop = loop
        self._ended = ended
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, running: Coroutine[Any, Any, None], entries: Sequence[Entry]) -> None:
        """Runs a try in a task of its own, and waits until the try ends or hangs.

        If the waiting task is cancelled, all tries are cancelled.
        """
        task = spawn(self._loop, partial(self._timed, running, entries))
        task.add_done_callback(partial(self._done, entries))
        self._tasks.add(task)
        for entry in entries:
            entry.trying = not task.done()  # an eager task may end before it is returned
        try:
            await asyncio.wait([task], timeout=_HUNG)
            if len(self._tasks) >= _MOST_AT_ONCE:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            for trying in self._tasks:
                trying.cancel()
            raise

    async def _timed(self, running: Coroutine[Any, Any, None], entries: Iterable[Entry]) -> None:
        began = self._loop.time()
        await running
        now = self._loop.time()
        rest = min(_REST * (now - began), _LONGEST_REST)
        for entry in entries:
            entry.due = max(entry.due, now + rest)

    def _done(self, entries: Iterable[Entry], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        for entry in entries:
            entry.trying = False
        if not self._loop.is_closed():
            self._ended(entries, task.cancelled())
