"""Bridge: an event loop in a thread of its own, which runs the coroutines that other threads give it.

A thread puts its coroutine into a queue, wakes the loop through a pipe unless somebody else just did, and waits on a
lock that the loop releases. For a coroutine that does nothing this takes 14 microseconds with uvloop and 25 without.
asyncio.run_coroutine_threadsafe() takes 36, because it makes two futures and wakes the loop for every call.
"""

from __future__ import annotations

import asyncio
import logging
import os
from _thread import allocate_lock
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import copy_context
from threading import Thread, get_ident
from typing import Any, Final, TypeVar

from ..errors import ConfigurationError, UpdateOutcomeUnknownError

R = TypeVar("R")

logger = logging.getLogger(__name__)

FATE_SECONDS: Final = 2.0
"""How many seconds an interrupted thread waits for the end of its cancelled call."""

SIGNAL_SECONDS: Final = 0.1
"""How many seconds a signal may be overlooked. One that comes just before a thread waits does not wake the thread."""

END_SECONDS: Final = 5.0
"""How many seconds the end of a bridge waits for calls under way. Then it cancels these, and waits as long again."""


class Ended(Exception):
    """The bridge has ended, and did not begin this call. The coroutine may be run elsewhere."""


class _Call:
    """A coroutine that a thread waits for.

    Attributes:
        lock: Is held until the call has ended.
        begun: Whether the loop has begun to run the coroutine.
        done: Whether the call has ended.
        interrupted: Whether the thread was interrupted, so that the coroutine has to be cancelled.
        refused: Whether the bridge ended before it began the call.
    """

    __slots__ = ("begun", "context", "coroutine", "done", "error", "interrupted", "lock", "refused", "result", "task")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.coroutine = coroutine
        self.context = copy_context()
        self.lock = allocate_lock()
        self.lock.acquire()
        self.begun = self.done = self.interrupted = self.refused = False
        self.task: asyncio.Task[None] | None = None
        self.result: Any = None
        self.error: BaseException | None = None

    def end(self) -> None:
        """Lets the thread go on."""
        if not self.done:
            self.done = True
            self.lock.release()

    def outcome(self) -> Any:
        """Returns or raises the result. May be called once."""
        # Taken out of the call, because the frames of the exception refer to the call: a reference cycle.
        error, self.error = self.error, None
        if error is None:
            return self.result
        try:
            raise error
        finally:
            del error


class Bridge:
    """Runs the coroutines of all threads of a process in one event loop, so that their calls go together.

    Attributes:
        process: The id of the process that the bridge works in. In a forked child, no thread would answer.

    Raises:
        RuntimeError: No thread can be started.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self._queue: deque[_Call] = deque()
        self._woken = self._stopping = self._ended = False
        self._calls: set[_Call] = set()
        self._loop = _new_loop()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        # A daemon thread, because Python waits for other threads before it calls the atexit handler that ends this one.
        self._thread = Thread(target=self._serve, name="sessionstore", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._loop.close()
            raise

    def __del__(self) -> None:
        # The pipe is not closed earlier: another thread may still write to it, and by then the number of a closed pipe
        # could belong to a file.
        os.close(self._reader)
        os.close(self._writer)

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Runs a coroutine in the loop, in the context of the calling thread, and waits for its end.

        If an exception interrupts the thread (KeyboardInterrupt, a time limit of Celery), the coroutine is cancelled.
        The exception goes on once the coroutine has ended, or after FATE_SECONDS.

        Raises:
            Ended: The bridge has ended, and the coroutine was not begun.
        """
        call = _Call(coroutine)
        try:
            self._submit(call)
            while not call.lock.acquire(timeout=SIGNAL_SECONDS):
                # Usually needless. But an exception may have come after the flag was set and before the wake-up.
                self._wake()
        except BaseException:
            self._interrupt(call)
            raise
        if call.refused:
            raise Ended
        result: R = call.outcome()
        return result

    def is_here(self) -> bool:
        """Whether this is the thread of the loop."""
        return get_ident() == self._thread.ident

    def stop(self) -> None:
        """Ends the loop and its thread. Waits for calls that are under way, then cancels them.

        A thread that does not end within three times END_SECONDS is left alone.
        """
        with suppress(RuntimeError):  # the loop is already closed
            self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(3 * END_SECONDS + 1)
        if self._thread.is_alive():
            logger.warning("the event loop thread did not end in time, and was left alone")

    def abandon(self) -> None:
        """Ends the parent's calls with an error, in a forked child: at most the call in which the child was forked."""
        for call in [*self._calls, *self._queue]:
            call.error = ConfigurationError(
                "this process was forked in the middle of a call, and has no thread to answer it; fork between calls"
            )
            call.end()

    def _submit(self, call: _Call) -> None:
        self._queue.append(call)
        # The order matters. The loop resets the flag before it empties the queue, so if the flag is set here, the loop
        # will still see this call. Two threads that find it reset wake the loop twice, which does no harm.
        if not self._woken:
            self._woken = True
            self._wake()
        if self._ended:
            self._refuse()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # the pipe is full of wake-ups
            os.write(self._writer, b"\0")

    def _interrupt(self, call: _Call) -> None:
        if call.done:
            return
        call.interrupted = True
        self._submit(call)
        self._wake()  # also if the flag is set: the exception may have come before that wake-up
        call.lock.acquire(timeout=FATE_SECONDS)

    def _refuse(self) -> None:
        with suppress(IndexError):  # another thread refuses calls too
            while True:
                call = self._queue.popleft()
                if call.task is None:
                    call.refused = True
                    call.end()

    def _serve(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.get_loop().add_reader(self._reader, self._drain)
                while not self._stopping:
                    # If a task raises one of these, run_forever() raises it too. Only the caller of the task gets it.
                    with suppress(KeyboardInterrupt, SystemExit):
                        self._loop.run_forever()
                runner.run(self._farewell())
        finally:
            self._ended = True
            self._refuse()
            self._give_up()

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._reader, 4096)
        self._woken = False
        queue = self._queue
        while queue:
            call = queue.popleft()
            if not call.interrupted:
                self._calls.add(call)
                call.task = self._loop.create_task(self._perform(call), context=call.context)
            elif call.begun and call.task is not None:
                call.task.cancel()
            elif call.task is None:
                call.coroutine.close()
                call.end()

    async def _perform(self, call: _Call) -> None:
        call.begun = True
        try:
            if call.interrupted:
                call.coroutine.close()
            else:
                call.result = await call.coroutine
        except asyncio.CancelledError as error:
            call.error = _unknown() if self._ended else error
        except BaseException as error:  # noqa: BLE001  # any error is the answer of the calling thread
            call.error = error
        self._calls.discard(call)
        call.end()

    def _stop(self) -> None:
        self._stopping = True
        self._loop.stop()

    async def _farewell(self) -> None:
        self._loop.remove_reader(self._reader)
        self._ended = True
        self._refuse()
        for _ in range(2):
            tasks = [call.task for call in self._calls if call.task is not None]
            if tasks:
                _, late = await asyncio.wait(tasks, timeout=END_SECONDS)
                for task in late:
                    task.cancel()
        self._give_up()

    def _give_up(self) -> None:
        for call in list(self._calls):
            call.error = _unknown()
            call.end()


def _unknown() -> UpdateOutcomeUnknownError:
    return UpdateOutcomeUnknownError(
        "the storage was closed, or the process ended, during the call; if the call was a write, it is unknown whether "
        "it landed; read the session before you repeat the call"
    )


def _new_loop() -> asyncio.AbstractEventLoop:
    """Makes an event loop of uvloop if that is installed, else of asyncio."""
    try:
        import uvloop  # imported here, so that importing this package does not load it
    except ImportError:
        # Not asyncio.new_event_loop(), because a policy of the service may make loops that do not run in a thread.
        return asyncio.SelectorEventLoop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
