"""Timeouts: waits for a call for a limited time, and says whether something may have been written."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeVar

from ..errors import ConfigurationError, StorageUnavailableError, UpdateOutcomeUnknownError
from .forks import born
from .loops import running_loop
from .tasks import Held, quiet

R = TypeVar("R")


async def within(
    timeout: timedelta,  # noqa: ASYNC109  # the error says whether something was written
    call: Coroutine[Any, Any, R],
    written: Callable[[], bool],
) -> R:
    """Waits for a call, at most for the timeout, by this process's monotonic clock.

    When the time is up, the call is cancelled, but its end is not awaited. If the network drops all packets, drivers
    take seconds to end a statement (psycopg 5, asyncpg 2). SQLite does not end a statement that waits for another
    process.

    Args:
        timeout: How long to wait.
        call: The call. It is closed if no event loop runs.
        written: Returns whether the call may have written something. Is called when the time is up.

    Raises:
        ConfigurationError: No event loop runs.
        StorageUnavailableError: The time is up, and nothing was written.
        UpdateOutcomeUnknownError: The time is up in the middle of a write.
    """
    process = born()
    try:
        running_loop()
    except ConfigurationError:
        call.close()
        raise
    task = quiet(asyncio.ensure_future(Held(_kept(call), call)))
    try:
        done, _ = await asyncio.wait([task], timeout=timeout.total_seconds())
    except asyncio.CancelledError:
        task.cancel()
        if born() == process:  # in a forked child, the parent's task never ends
            await ended(task)
        raise
    if done:
        result = task.result()
        if isinstance(result, _Exit):
            raise result.error
        return result
    task.cancel()
    _LEFT.add(task)
    task.add_done_callback(_end)
    await asyncio.sleep(0)  # delivers the cancellation, so that a write that has not begun does not begin
    seconds = f"{timeout.total_seconds():g} s"
    if written():
        raise UpdateOutcomeUnknownError(
            f"the storage did not answer a write within {seconds}, and the write may or may not have landed; "
            "read the session before you repeat the call, or give each update an idempotency_key"
        )
    raise StorageUnavailableError(
        f"the storage did not answer within {seconds}, and nothing was written; try again, or allow more time"
    )


class _Exit(NamedTuple):
    """An exception of a call that is meant for the whole program."""

    error: KeyboardInterrupt | SystemExit


async def _kept(call: Coroutine[Any, Any, R]) -> R | _Exit:
    """Runs a call in a task. An event loop ends where a task raises one of these, and other callers with it."""
    try:
        return await call
    except (KeyboardInterrupt, SystemExit) as error:
        return _Exit(error)


async def while_wanted(running: Coroutine[Any, Any, None], wanted: Callable[[], bool], pause: float) -> bool:
    """Runs a coroutine in a task of its own. Cancels the task once it is not wanted, and waits for its end.

    Args:
        running: The coroutine. Its exceptions are raised here.
        wanted: Returns whether any caller still waits for the coroutine.
        pause: How many seconds pass between two calls of ``wanted``.

    Returns:
        Whether the coroutine ended by itself; False: its task was cancelled.
    """
    process = born()
    try:
        task = quiet(asyncio.ensure_future(Held(running)))
    except Exception:  # a task factory may raise anything
        running.close()
        raise
    freed = False
    try:
        while not task.done() and wanted():
            await asyncio.wait([task], timeout=pause)
    except GeneratorExit:
        freed = True  # after its event loop was closed, and nothing can be awaited
        raise
    finally:
        if not (freed or task.done()):
            task.cancel()
            if born() == process:  # in a forked child, the parent's task never ends
                await ended(task)
    if task.cancelled():
        return False
    task.result()
    return True


async def ended(task: asyncio.Future[Any]) -> None:
    """Waits until a task has ended, even if the waiting task is cancelled."""
    # anyio cancels a waiting task again at each turn of the event loop, except inside a shielded scope.
    anyio: Any = sys.modules.get("anyio")
    with nullcontext() if anyio is None else anyio.CancelScope(shield=True):
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # asyncio logs an exception that nobody retrieves


_LEFT: Final[set[asyncio.Task[Any]]] = set()
"""Tasks that were cancelled and have not ended. An event loop holds only weak references to its tasks."""


def _end(task: asyncio.Task[Any]) -> None:
    _LEFT.discard(task)
    # Asks for the exception, because asyncio logs one that nobody retrieves.
    if not task.cancelled() and task.exception() is None and isinstance(result := task.result(), _Exit):
        raise result.error  # no caller waits for it, so the event loop gets it
