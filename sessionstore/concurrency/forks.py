"""Forks: makes a forked child forget the objects that belong to its parent process."""

from __future__ import annotations

import os
import time
from typing import Final, Protocol
from weakref import WeakSet


class BoundToProcess(Protocol):
    """An object that a forked child must not use: a connection, a thread, a queue, a timer."""

    def forget_parent(self) -> None:
        """Is called in a forked child before other code runs there. Must not wait, and must not take a lock."""
        ...


def forget_in_children(bound: BoundToProcess) -> None:
    """Registers an object: each child that is forked during its lifetime calls its `forget_parent()`."""
    _BOUND.add(bound)


def was_made_by_parent(moment: float) -> bool:
    """Whether an object that was made at this moment, by `time.time()`, was made before this process was forked."""
    return moment < _born


def born() -> float:
    """Returns when this process was forked, by `time.time()`; 0.0: it was not forked.

    The value changes while a coroutine runs if the process is forked inside the coroutine.
    """
    return _born


def is_child() -> bool:
    """Whether this process was forked from a process that had loaded this module."""
    return _born > 0


def keep_for_parent(inherited: object) -> None:
    """Keeps an object of the parent from the garbage collector of this child for ever.

    A destructor of the object could harm the parent, for instance close a connection that the parent still uses.
    """
    _INHERITED.append(inherited)


def notice_fork() -> None:
    """Makes a forked child forget its parent if Python's hooks have not done so: uWSGI forks without hooks."""
    if os.getpid() != _process:
        _forget()


def _forget() -> None:
    global _born, _process
    _born, _process = time.time(), os.getpid()
    for bound in list(_BOUND):
        bound.forget_parent()


_born = 0.0
"""When this process was forked, by `time.time()`; 0.0: it was not forked."""

_process = os.getpid()
"""The id of the process that last checked for a fork."""

_BOUND: Final[WeakSet[BoundToProcess]] = WeakSet()

_INHERITED: Final[list[object]] = []
"""The objects that keep_for_parent() keeps, for as long as this process lives."""

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
