"""Entry: updates of one session that wait for its row, with the time of their next try."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

from ..errors import SessionStoreError, UpdateOutcomeUnknownError
from ..storage import Key
from .fold import Fold

_FIRST_PAUSE: Final = 0.002
LONGEST_PAUSE: Final = 0.1


class Entry:
    """Updates of a session that wait for its row.

    Attributes:
        fold: The updates.
        since: When they began to wait, by the clock of the event loop.
        due: When they are tried next, by the same clock.
        pause: The longest pause after the next try.
        moving: Whether other callers write the session. If not, another transaction holds its row.
        locks: The result of trying the row lock. 0: it was not tried; 1: it was not free, in a try with other rows;
            2: it was not free, in a try alone.
        locking: Whether a try of the row lock is under way.
        trying: Whether another try is under way.
        single: Whether the entry is tried alone, because it was refused together with others.
    """

    __slots__ = ("due", "fold", "locking", "locks", "moving", "pause", "since", "single", "trying")

    def __init__(self, fold: Fold, now: float) -> None:
        self.fold = fold
        self.since = now
        self.pause = _FIRST_PAUSE
        self.due = now + random.uniform(0, _FIRST_PAUSE)  # noqa: S311  # spreads processes; need not be secure
        self.moving = True
        self.locks = 0
        self.locking = self.trying = False
        self.single = fold.halved_until is not None

    def rest(self, now: float) -> None:
        """Schedules the next try, with backoff."""
        self.due = now + self.pause * random.uniform(0.5, 1)  # noqa: S311
        self.pause = min(2 * self.pause, LONGEST_PAUSE)

    def hurry(self, now: float) -> None:
        """Schedules the next try at once: another caller wrote, so the row is free at times."""
        self.moving = True
        self.pause = _FIRST_PAUSE
        self.due = now
        self.locks = min(self.locks, 1)


def first_of_each(entries: Iterable[Entry]) -> list[Entry]:
    """Returns the first entry of each session, without entries that are being tried."""
    first: dict[Key, Entry] = {}
    for entry in entries:
        first.setdefault(entry.fold.key, entry)
    return [entry for entry in first.values() if not (entry.locking or entry.trying)]


def known_refused(entries: Iterable[Entry], error: Exception, now: float) -> list[Entry]:
    """Returns the entries for which certainly nothing was written under their row locks.

    An error from outside the library may have been raised after the commit. Then the writes that the storage was given
    count as lost, and the next read tells whether they landed.
    """
    known: list[Entry] = []
    for entry in entries:
        if isinstance(error, SessionStoreError) or not entry.fold.under_way:
            entry.fold.refused()
            known.append(entry)
        else:
            entry.fold.lose(
                UpdateOutcomeUnknownError(
                    f"the storage failed with {type(error).__name__} in a write, and it is unknown whether the "
                    "write landed; read the session before you repeat the update"
                )
            )
            entry.locks = 2
            entry.rest(now)
    return known
