"""The sessions that were live a moment ago, as far as this process has seen them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ... import Key

_MOST: Final = 2048


class RecentSessions:
    """Keys of sessions that were live when they were last seen, the newest few thousand.

    The keys are guesses: a session may have expired, or another process may have deleted it. Any thread may call any
    method.
    """

    def __init__(self) -> None:
        self._newer: set[Key] = set()
        self._older: set[Key] = set()

    def __contains__(self, key: Key) -> bool:
        return key in self._newer or key in self._older

    def add(self, keys: Iterable[Key]) -> None:
        """Notes that these sessions are live."""
        self._newer.update(keys)
        if len(self._newer) >= _MOST:
            self._older, self._newer = self._newer, set()

    def discard(self, keys: Iterable[Key]) -> None:
        """Notes that these sessions may not be live."""
        gone = set(keys)
        self._newer -= gone
        self._older -= gone
