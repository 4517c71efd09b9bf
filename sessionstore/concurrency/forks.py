"""Forks: makes a forked child forget the objects that belong to its parent process."""

from __future__ import annotations

import os
import time
from typing import Final, Protocol
from weakref import WeakSet


class BoundToProcess(Protocol):
    """An object that a forked child must not use: a connection, a thread, a queue, a timer."""

    def forget_parent(self) -> None:
        """Is called in a forked child before any other code runs there. Must not wait, and must not take a lock."""
        ...


def forget_in_children(bound: BoundToProcess) -> None:
    """Registers an object: each child that is forked during its lifetime calls its `forget_parent()`."""
    _BOUND.add(bound)


def was_made_by_parent(moment: float) -> bool:
    """Whether this time, by `time.time()`, lies before the fork of this process."""
    return moment < _born


def born() -> float:
    """When this process was forked, by `time.time()`; 0.0: it was not. Changes within a coroutine that is forked."""
    return _born


def is_child() -> bool:
    """Whether this process was forked from a process that had loaded this module."""
    return _born > 0


def keep_for_parent(inherited: object) -> None:
    """Keeps an object of the parent from the garbage collector of this child, for good.

    Its destructor would act on what the parent still uses, for instance close a connection.
    """
    _INHERITED.append(inherited)


def notice_fork() -> None:
    """Does what a fork does in the child, if the fork itself did not: uWSGI forks without the hooks of Python."""
    if os.getpid() != _process:
        _forget()


def _forget() -> None:
    global _born, _process
    _born, _process = time.time(), os.getpid()
    for bound in list(_BOUND):
        bound.forget_parent()


_born = 0.0
"""When this process was forked, by `time.time()`; 0.0: it was not."""

_process = os.getpid()
"""This process, when it last looked."""

_BOUND: Final[WeakSet[BoundToProcess]] = WeakSet()

_INHERITED: Final[list[object]] = []
"""What keep_for_parent() keeps, for as long as this process lives."""

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
