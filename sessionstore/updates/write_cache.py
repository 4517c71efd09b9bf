"""What was written a moment ago, so that the next update of a busy session need not read it first."""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import Final

from ..storage import Document, Key

_CAPACITY: Final = 8_000_000
"""How many characters of state are remembered at most."""

_FEWEST_WRITES: Final = 4
_MOST_WRITES: Final = 256
"""After how many writes there is another guess where one was wrong: twice as many each time that one was again."""


class WriteCache:
    """Documents as this process left them, to be guessed from and never to be answered from.

    An update that begins with such a document is written only if the session is still at its version, so a wrong guess
    costs a statement and nothing else. Guesses are wrong where other processes write the same sessions; the more often
    one was wrong without a right one in between, the longer the next is in coming.

    Args:
        seconds: How long a document is remembered; 0: not at all.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._documents: OrderedDict[Key, tuple[float, Document]] = OrderedDict()
        self._chars = 0
        self._pause = 0
        self._penalty = _FEWEST_WRITES

    def guess(self, key: Key) -> Document | None:
        """The document, if it was written a moment ago and guessing pays."""
        found = self._documents.get(key)
        if found is None or self._pause:
            return None
        return found[1] if monotonic() - found[0] <= self._seconds else None

    def guessed(self, *, right: bool) -> None:
        """Learns from a guess."""
        if right:
            self._penalty = _FEWEST_WRITES
        else:
            self._pause = self._penalty
            self._penalty = min(_MOST_WRITES, 2 * self._penalty)

    def wrote(self, document: Document) -> None:
        """Remembers what was written, in place of what was before."""
        if not self._seconds:
            return
        self.forget(document.summary.key)
        self._pause = max(0, self._pause - 1)
        now = monotonic()
        self._documents[document.summary.key] = (now, document)
        self._chars += len(document.state)
        while self._chars > _CAPACITY or now - next(iter(self._documents.values()))[0] > self._seconds:
            self._chars -= len(self._documents.popitem(last=False)[1][1].state)
            if not self._documents:
                break

    def forget(self, key: Key) -> None:
        """Forgets a document that somebody else wrote, or that nobody knows."""
        found = self._documents.pop(key, None)
        if found is not None:
            self._chars -= len(found[1].state)
