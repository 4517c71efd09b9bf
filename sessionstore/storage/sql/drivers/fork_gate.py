"""Fork safety of SQLite: a fork waits until no thread is inside a call of the SQLite library.

A child that is forked in the middle of a call would wait for ever for a mutex that a thread of its parent held. SQLite
also counts the locks on a file by process. So a child closes the connections of its parent before it opens its own:
otherwise it would take the locks of its parent for its own.
"""

from __future__ import annotations

import os
import sqlite3
from threading import Condition, local
from types import TracebackType
from typing import Any, Final
from weakref import WeakSet

from ....errors import StorageUnavailableError

_SECONDS: Final = 2.0
"""How many seconds a fork waits for calls to end. A call that waits for another process may take longer."""


class ForkGate:
    """A lock that each call of SQLite enters. A fork waits until no call is inside, and new calls wait for the fork.

    A thread that is inside may enter again.
    """

    def __init__(self) -> None:
        self._inherited: list[Any] = []
        self._torn = False
        self._begin()

    def _begin(self) -> None:
        self._changed = Condition()
        self._inside = 0
        self._forks = 0
        self._known: WeakSet[Any] = WeakSet()
        self._depth = _Depth()

    def __enter__(self) -> None:
        self._depth.entered += 1
        if self._depth.entered > 1:
            return
        with self._changed:
            while self._forks:
                self._changed.wait()
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth.entered -= 1
        if self._depth.entered:
            return
        with self._changed:
            self._inside -= 1
            if not self._inside:
                self._changed.notify_all()

    def note(self, driver: Any) -> None:
        """Notes a connection of aiosqlite, which a child would inherit."""
        self._known.add(driver)

    def close_inherited(self) -> None:
        """Closes the connections of the parent process, in the child, before it opens its first one.

        Raises:
            StorageUnavailableError: The parent was in the middle of a call, and the connection can never be closed.
        """
        if self._torn:
            raise StorageUnavailableError(
                "this process was forked while its parent waited for the SQLite file, and cannot use the file; "
                "fork again, or start a new process"
            )
        while self._inherited:
            driver = self._inherited.pop()
            # The thread of the connection is not in this process, so nobody else uses the connection.
            raw, driver._connection = driver._connection, None  # noqa: SLF001
            if raw is not None:
                _close(raw)

    def before_fork(self) -> None:
        """Waits until no call is under way."""
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: not self._inside, _SECONDS)

    def after_in_parent(self) -> None:
        """Lets calls in again."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()

    def after_in_child(self) -> None:
        """Starts with an empty gate: the threads that were inside or waited are not in this process."""
        self._torn = self._torn or self._inside > 0
        self._inherited += self._known
        self._begin()


class _Depth(local):
    """How often this thread is inside."""

    entered = 0


def _close(raw: sqlite3.Connection) -> None:
    try:
        raw.close()
    except sqlite3.ProgrammingError:
        return  # refused by check_same_thread; the connection closes with its last reference, which is this one


GATE: Final = ForkGate()

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(
        before=GATE.before_fork, after_in_parent=GATE.after_in_parent, after_in_child=GATE.after_in_child
    )
