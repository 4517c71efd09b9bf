"""The thread of a SQLite connection. Each call that the thread runs enters the fork gate."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from importlib import import_module
from threading import Thread
from typing import Any

from sqlalchemy import Engine, event

from .fork_gate import GATE


def supervise_all(engine: Engine) -> None:
    """Calls supervise() for each connection that an engine makes from now on, also if the service itself uses it."""
    if not event.contains(engine, "do_connect", _connecting):
        event.listen(engine, "do_connect", _connecting)


def _connecting(_: object, __: object, ___: object, options: dict[str, Any]) -> None:
    options.setdefault("async_creator_fn", _connect)  # SQLAlchemy makes the driver's connection with this function


def _connect(*arguments: Any, **options: Any) -> Any:
    driver = import_module("aiosqlite").connect(*arguments, **options)
    # A daemon, as for connections that SQLAlchemy makes, so that the thread does not keep the process from ending.
    thread = driver if isinstance(driver, Thread) else driver._thread  # noqa: SLF001
    thread.daemon = True
    supervise(driver)
    return driver


def supervise(driver: Any) -> None:
    """Makes all calls on a connection enter the gate, including its opening and closing, and calls of the service."""
    # All calls of aiosqlite go through this queue, which has no public name.
    if not isinstance(driver._tx, _Calls):  # noqa: SLF001
        driver._tx = _Calls(driver._tx)  # noqa: SLF001
    GATE.note(driver)


class _Calls:
    """The queue of a connection's thread."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._opened: sqlite3.Connection | None = None

    def put_nowait(self, call: tuple[Any, Callable[[], Any]]) -> None:
        future, function = call
        answer = None if future is None else _Answer(future)
        self._queue.put_nowait((answer, partial(self._behind_the_gate, function)))

    def get(self, *arguments: Any, **options: Any) -> Any:
        return self._queue.get(*arguments, **options)

    def _behind_the_gate(self, function: Callable[[], Any]) -> Any:
        with GATE:
            done = function()
            if isinstance(done, sqlite3.Connection):
                self._opened = done
            elif done is _stopped() and self._opened is not None:
                # If the opening was cancelled, nobody has the connection, and it would be closed in any thread.
                self._opened.close()
                self._opened = None
            return done


class _Answer:
    """Replaces the future of a caller in the thread. Drops the answer if the caller's event loop is closed."""

    __slots__ = ("_future", "_loop")

    def __init__(self, future: Any) -> None:
        self._future = future
        self._loop: asyncio.AbstractEventLoop = future.get_loop()

    def get_loop(self) -> _Answer:
        return self

    def call_soon_threadsafe(self, callback: Callable[..., object], _: object, outcome: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, self._future, outcome)
        except RuntimeError:
            if not self._loop.is_closed():
                raise


def _stopped() -> object:
    """Returns the object that the last call of a thread returns."""
    return getattr(import_module("aiosqlite.core"), "_STOP_RUNNING_SENTINEL", _stopped)
