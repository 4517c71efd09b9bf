"""Calls of SQLAlchemy's pool, which outlive an event loop that is closed in the middle of them.

SQLAlchemy runs them in greenlets. A greenlet that is freed in the middle raises errors in the pool, which logs them and
loses its count of connections. So each call is kept until it ends, or for ever if its loop was closed.
"""

from __future__ import annotations

import asyncio
import ctypes
import types
from collections.abc import Coroutine, Generator, Iterator
from math import inf
from types import FrameType
from typing import Any, Final, TypeVar

from sqlalchemy import QueuePool

R = TypeVar("R")

_FAREWELL_SECONDS: Final = 2.0
_UNDER_WAY: Final[dict[int, Coroutine[Any, Any, Any]]] = {}
"""The calls that have not ended, by their id: the garbage collector must not find one before its caller."""


@types.coroutine
def kept(running: Coroutine[Any, Any, R], *, to_its_end: bool = False) -> Generator[Any, Any, R]:
    """Runs a call. If its caller is freed in the middle, the call stays as it is, for ever.

    Args:
        running: The call.
        to_its_end: Whether a cancellation waits for the end of the call, for two seconds: asyncio.run() cancels all
            tasks, also those that only give a connection back.
    """
    _UNDER_WAY[id(running)] = running
    error: BaseException | None = None
    cancelled: asyncio.CancelledError | None = None
    end = inf
    try:
        while True:
            try:
                waiting = running.send(None) if error is None else running.throw(error)
            except StopIteration as done:
                if cancelled is not None:
                    raise cancelled from None
                result: R = done.value
                return result
            error = None
            try:
                if waiting is None or not to_its_end:
                    yield waiting
                    continue
                waiting._asyncio_future_blocking = False  # noqa: SLF001  # as a task does that begins to wait
                loop = waiting.get_loop()
                while not waiting.done():
                    timer = None if end == inf else loop.call_at(end, waiting.cancel)
                    try:
                        yield from asyncio.shield(waiting)
                    except asyncio.CancelledError as raised:
                        if waiting.done():
                            break  # the call is told itself
                        cancelled = raised
                        end = min(end, loop.time() + _FAREWELL_SECONDS)
                    except Exception:  # noqa: BLE001  # the same
                        break
                    finally:
                        if timer is not None:
                            timer.cancel()
            except GeneratorExit:
                _keep_for_ever(running)
                raise
            except BaseException as raised:  # noqa: BLE001  # it is the call's
                error = raised
    finally:
        _UNDER_WAY.pop(id(running), None)


def free_place(pool: Any, connecting: Coroutine[Any, Any, Any]) -> None:
    """Gives back what a call of connect() took that has not ended: a place in the pool, and the lock of its events."""
    _keep_for_ever(connecting)
    frames = list(_frames(connecting))
    # There are no public names for all this.
    if isinstance(pool, QueuePool) and any(frame.f_code.co_name in _OF_A_RECORD for frame in frames):
        pool._dec_overflow()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for frame, inner in zip(frames, [None, *frames], strict=False):
        # The first connection of an engine holds this lock while the engine asks the server about itself.
        if frame.f_code.co_name == _FIRST_RUN and (inner is None or inner.f_code.co_name != "__enter__"):
            frame.f_locals["self"]._exec_once_mutex = None  # noqa: SLF001


_OF_A_RECORD: Final = ("_ConnectionRecord__connect", "__connect", "get_connection")
"""Functions that run for a call that has a place. A call that waits for one is in none of them."""
_FIRST_RUN: Final = "_exec_w_sync_on_first_run"


def _frames(running: Coroutine[Any, Any, Any]) -> Iterator[FrameType]:
    """What a call of greenlet_spawn() is in, from the innermost function."""
    frame: FrameType | None = getattr(running, "cr_frame", None)
    greenlet: Any = None if frame is None else frame.f_locals.get("context")
    inner: FrameType | None = getattr(greenlet, "gr_frame", None)
    while inner is not None:
        yield inner
        inner = inner.f_back


def _keep_for_ever(running: Coroutine[Any, Any, Any]) -> None:
    # A reference that nobody gives back: at the end of the process, Python frees even what modules refer to.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(running))
