"""Forks: what belongs to a process is forgotten by its children."""

from __future__ import annotations

import os
import time
from typing import Final, Protocol
from weakref import WeakSet


class BoundToProcess(Protocol):
    """Something that a forked child must not use: a connection, a thread, a queue, a timer."""

    def forget_parent(self) -> None:
        """Called in a forked child, before anything else of it runs. Must not wait, and must not take a lock."""
        ...


def forget_in_children(bound: BoundToProcess) -> None:
    """Has `forget_parent()` of an object called in each child that is forked from now on, for as long as it lives."""
    _BOUND.add(bound)


def was_made_by_parent(moment: float) -> bool:
    """Whether something that was made at this time, by the clock of `time.time()`, was made before this process."""
    return moment < _born


def is_child() -> bool:
    """Whether this process was forked from one that had this module."""
    return _born > 0


def _forget() -> None:
    global _born  # noqa: PLW0603
    _born = time.time()
    for bound in list(_BOUND):
        bound.forget_parent()


_born = 0.0
"""When this process was forked."""

_BOUND: Final[WeakSet[BoundToProcess]] = WeakSet()

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
