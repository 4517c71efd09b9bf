"""Late accesses: reads do not wait for whoever holds a row; their access is made up for when the row is free."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from contextvars import Context
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

from ....concurrency.deadline import ended
from ....errors import SessionStoreError, StorageUnavailableError
from ... import Key
from ..faults import READ_ONLY

M = TypeVar("M")

logger = logging.getLogger(__name__)

Move: TypeAlias = Callable[[Collection[Key]], Awaitable[Collection[Key]]]
"""Moves the expiry of live sessions that are due for it; returns those that are due still."""

_MOMENT: Final = 0.05
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.5
_PAUSE_OF_READERS: Final = 5.0
"""While the server only reads. It is looked as often where a new connection leads."""
_AT_ONCE: Final = 128
_MOST: Final = 10_000
"""How many sessions are remembered at most. Those beyond keep the expiry that they have."""
_SECONDS: Final = 600.0
"""For how long a session is remembered; the next read remembers it anew."""


class LateAccesses:
    """The accesses that one event loop of one process has to make up for.

    A timer of the loop starts each attempt, so that nothing is left of it where the loop ends.

    Args:
        move: Tries it, without waiting for anybody.
    """

    def __init__(self, move: Move) -> None:
        self._move = move
        self._until: dict[Key, float] = {}
        self._pause = _FIRST_PAUSE
        self._timer: asyncio.TimerHandle | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._moving: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __contains__(self, key: Key) -> bool:
        return key in self._until

    def add(self, keys: Iterable[Key]) -> None:
        """Remembers sessions whose expiry could not be moved."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _SECONDS
        for key in keys:
            if len(self._until) < _MOST:
                self._until.setdefault(key, until)
        self._schedule(loop)

    async def soon(self, moving: Coroutine[Any, Any, M]) -> M | None:
        """What moves the expiry of sessions, if that is done in a moment; None: it is not, or could not be.

        For a database that has one writer: whoever has the file now must not keep up the reads.
        """
        task = asyncio.ensure_future(moving)
        self._moving.add(task)
        task.add_done_callback(self._moved)
        try:
            await asyncio.wait([task], timeout=_MOMENT)
        except asyncio.CancelledError:
            task.cancel()
            await ended(task)
            raise
        if not task.done():
            return None
        try:
            return task.result()
        except StorageUnavailableError:
            return None

    def _moved(self, task: asyncio.Task[Any]) -> None:
        self._moving.discard(task)
        if not task.cancelled():
            task.exception()  # whether it was raised is not for the log of the event loop

    async def close(self) -> None:
        """Forgets them all."""
        self._closed = True
        if mine := [task for task in self._moving if task.get_loop() is asyncio.get_running_loop()]:
            await asyncio.wait(mine)
        self._until.clear()
        if self._timer is not None:
            self._timer.cancel()
        if (attempt := self._attempt) is not None and attempt.get_loop() is asyncio.get_running_loop():
            attempt.cancel()
            await asyncio.wait([attempt])

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._until and self._timer is None and self._attempt is None and not self._closed:
            self._timer = loop.call_later(self._pause, self._start, loop, context=Context())

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if not self._closed:
            self._attempt = loop.create_task(self._try(loop))

    async def _try(self, loop: asyncio.AbstractEventLoop) -> None:
        tried = list(islice(self._until, _AT_ONCE))
        only_reads = False
        try:
            due = set(await self._move(tried))
        except SessionStoreError as error:
            logger.debug("late accesses failed", extra={"error": type(error).__name__, "sessions": len(tried)})
            due = set(tried)
            only_reads = getattr(error, "code", None) == READ_ONLY
        finally:
            self._attempt = None
        for key in tried:
            # Those that are due still go to the end, behind the others.
            until = self._until.pop(key, 0.0)
            if key in due and loop.time() < until:
                self._until[key] = until
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause) if len(due) == len(tried) else _FIRST_PAUSE
        if only_reads:
            self._pause = _PAUSE_OF_READERS
        self._schedule(loop)
