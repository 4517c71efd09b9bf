"""Updates of one session that wait for its row, and when they are tried next."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

from ..storage import Key
from .fold import Fold

_FIRST_PAUSE: Final = 0.002
LONGEST_PAUSE: Final = 0.1


class Entry:
    """Updates of a session that wait for its row.

    Attributes:
        fold: The updates.
        since: Since when they wait.
        due: When they are tried next.
        pause: How long they rest then.
        moving: Whether others write the session, for all that is known; else somebody holds its row.
        locks: How often its row could not be locked: 1 after it was tried with others, 2 by itself.
        locking: Whether that is being tried now.
        single: Whether it is tried by itself, because it was refused among others.
    """

    __slots__ = ("due", "fold", "locking", "locks", "moving", "pause", "since", "single")

    def __init__(self, fold: Fold, now: float) -> None:
        self.fold = fold
        self.since = now
        self.pause = _FIRST_PAUSE
        self.due = now + random.uniform(0, _FIRST_PAUSE)  # noqa: S311  # spreads processes, no secret
        self.moving = True
        self.locks = 0
        self.locking = False
        self.single = fold.halved_until is not None

    def rest(self, now: float) -> None:
        """Puts the next trial off, each time for longer."""
        self.due = now + self.pause * random.uniform(0.5, 1)  # noqa: S311
        self.pause = min(2 * self.pause, LONGEST_PAUSE)

    def hurry(self, now: float) -> None:
        """Notes that somebody else wrote: the row is free at times."""
        self.moving = True
        self.pause = _FIRST_PAUSE
        self.due = now
        self.locks = min(self.locks, 1)


def first_of_each(entries: Iterable[Entry]) -> list[Entry]:
    """Of each session the updates that came first, unless they are being locked."""
    first: dict[Key, Entry] = {}
    for entry in entries:
        first.setdefault(entry.fold.key, entry)
    return [entry for entry in first.values() if not entry.locking]
