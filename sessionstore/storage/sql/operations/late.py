"""Late accesses. A read does not wait for a row that is held: its expiry is moved in the background afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from contextvars import Context
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

from ....concurrency.deadline import ended
from ....concurrency.forks import born
from ....concurrency.tasks import Held, quiet
from ....errors import SessionStoreError, StorageUnavailableError, UpdateOutcomeUnknownError
from ... import Key
from ..faults import READ_ONLY

M = TypeVar("M")

logger = logging.getLogger(__name__)

Move: TypeAlias = Callable[[Collection[Key]], Awaitable[Collection[Key]]]
"""Moves the expiry of live sessions where it is due. Returns the sessions whose expiry is still due."""

_MOMENT: Final = 0.05
"""How many seconds a read waits for the one writer of a database."""
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.5
_LONGEST_PAUSE_BLOCKED: Final = 2.0
"""The longest pause, in seconds, while attempts get no answer. Each of them keeps a connection for MOVE_SECONDS."""
_PAUSE_OF_READERS: Final = 5.0
"""The pause, in seconds, while the server is read-only. New connections are checked at the same interval."""
MOVE_SECONDS: Final = 0.5
"""The time limit, in seconds, of a statement that moves expiries. The statement skips held rows. So it only waits for a
lock on the whole table, or for a server that does not answer."""
_AT_ONCE: Final = 128
_MOST: Final = 10_000
"""The largest number of late accesses. Further sessions keep their expiry until the next read."""
_SECONDS: Final = 600.0
"""How many seconds a late access is tried for. The next read of the session starts anew."""


class LateAccesses:
    """The late accesses of one event loop.

    A timer of the event loop starts each attempt, so no task is left when the event loop ends.

    Attributes:
        blocked: Whether the last attempt got no answer, for instance because another transaction locks the table. Reads
            then move no expiry themselves, so that one connection waits for the lock, and not all of them.

    Args:
        move: Tries to move expiries, without waiting for locks.
    """

    def __init__(self, move: Move) -> None:
        self._move = move
        self._loop = asyncio.get_running_loop()
        self._until: dict[Key, float] = {}
        self._pause = _FIRST_PAUSE
        self._timer: asyncio.TimerHandle | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._moving: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.blocked = False

    def __contains__(self, key: Key) -> bool:
        return key in self._until

    def is_blocked(self) -> bool:
        """Returns whether reads leave the moving of expiries to the next attempt."""
        return self.blocked

    def add(self, keys: Iterable[Key]) -> None:
        """Adds sessions whose expiry could not be moved."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _SECONDS
        for key in keys:
            if len(self._until) < _MOST:
                self._until.setdefault(key, until)
        self._schedule(loop)

    async def within_moment(self, moving: Coroutine[Any, Any, M]) -> M | None:
        """Runs a coroutine that moves expiries, and returns its result.

        For databases with one writer: a writer that holds the file must not delay reads for long.

        Returns:
            The result; None: the storage is unavailable, or the coroutine takes longer than 50 ms. It then continues in
            the background.
        """
        process = born()
        task = quiet(asyncio.ensure_future(Held(moving)))
        self._moving.add(task)
        task.add_done_callback(self._moved)
        try:
            await asyncio.wait([task], timeout=_MOMENT)
        except asyncio.CancelledError:
            task.cancel()
            if born() == process:  # a forked child must not wait in the loop of its parent
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
            task.exception()  # marks the error as seen, or else the event loop logs it

    async def close(self) -> None:
        """Cancels the late accesses, and waits for the attempt that runs."""
        self._closed = True
        self._until.clear()
        if self._loop is not asyncio.get_running_loop():
            return  # only its own thread may act on a loop, and nothing begins there any more
        if self._moving:
            await asyncio.wait(self._moving)
        if self._timer is not None:
            self._timer.cancel()
        if (attempt := self._attempt) is not None:
            attempt.cancel()
            await asyncio.wait([attempt])

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._until and self._timer is None and self._attempt is None and not self._closed:
            self._timer = loop.call_later(self._pause, self._start, loop, context=Context())

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if not self._closed:
            self._attempt = quiet(loop.create_task(Held(self._try(loop))))

    async def _try(self, loop: asyncio.AbstractEventLoop) -> None:
        tried = list(islice(self._until, _AT_ONCE))
        only_reads = blocked = False
        try:
            due = set(await self._move(tried))
        except SessionStoreError as error:
            logger.debug("late accesses failed", extra={"error": type(error).__name__, "sessions": len(tried)})
            due = set(tried)
            only_reads = getattr(error, "code", None) == READ_ONLY
            blocked = isinstance(error, UpdateOutcomeUnknownError)
        finally:
            self._attempt = None
        self.blocked = blocked
        for key in tried:
            # A session that is still due goes to the end of the queue.
            until = self._until.pop(key, 0.0)
            if key in due and loop.time() < until:
                self._until[key] = until
        longest = _LONGEST_PAUSE_BLOCKED if blocked else _LONGEST_PAUSE
        self._pause = min(longest, 2 * self._pause) if len(due) == len(tried) else _FIRST_PAUSE
        if only_reads:
            self._pause = _PAUSE_OF_READERS
        self._schedule(loop)
