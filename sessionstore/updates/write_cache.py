"""What was written a moment ago, so that the next update of a busy session need not read it first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from math import prod
from time import monotonic
from typing import Final

from ..storage import Document, Key

_CAPACITY: Final = 8_000_000
"""How many characters of state are remembered at most."""

_BREAK_EVEN: Final = 0.5
"""How likely all guesses of a batch have to be right. A right guess saves a statement, and a wrong one costs a
statement."""

_WEIGHT: Final = 1 / 8
"""What the newest look at a session counts in how often its guesses are right."""
_WEIGHT_FOR_ALL: Final = 1 / 32
"""The same for what a session begins with of which nothing is known."""


class WriteCache:
    """Documents as this process left them, to be guessed from and never to be answered from.

    An update that begins with such a document is written only if the session is still at its version, so a wrong guess
    costs a statement and nothing else. Guesses are wrong where other processes write the same sessions. So each session
    has a *rate*: how often what was remembered of it was still there, a mean in which the newest look counts most. A
    batch is guessed if the product of its sessions' rates says that all guesses are likely to be right. A session that
    is read because guessing does not pay tells as well whether the guess would have been right, so nothing has to be
    tried to learn that guessing pays again.

    Args:
        seconds: How long a document is remembered; 0: not at all.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sessions: OrderedDict[Key, _Session] = OrderedDict()
        self._chars = 0
        self._rate = 1.0

    def guesses(self, keys: Iterable[Key]) -> list[Document] | None:
        """The documents of all these sessions, if they were written a moment ago and guessing pays."""
        documents: list[Document] = []
        rates: list[float] = []
        since = monotonic() - self._seconds
        for key in keys:
            session = self._sessions.get(key)
            if session is None or session.document is None or session.written < since:
                return None
            documents.append(session.document)
            rates.append(session.rate)
        return documents if prod(rates) >= _BREAK_EVEN else None

    def guessed(self, key: Key, *, right: bool) -> None:
        """Learns from a guess that was written, or was not because it was wrong."""
        self._rate += (right - self._rate) * _WEIGHT_FOR_ALL
        session = self._sessions.get(key)
        if session is not None:
            session.rate += (right - session.rate) * _WEIGHT

    def read(self, key: Key, document: Document | None) -> None:
        """Learns from what is there whether a guess would have been right."""
        session = self._sessions.get(key)
        if session is None or session.document is None or monotonic() - session.written > self._seconds:
            return
        known = session.document.summary
        found = None if document is None else document.summary
        self.guessed(
            key, right=found is not None and (found.version, found.last_write) == (known.version, known.last_write)
        )

    def wrote(self, document: Document) -> None:
        """Remembers what was written, in place of what was before."""
        if not self._seconds:
            return
        key = document.summary.key
        self.forget(key)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = _Session(self._rate)
        else:
            self._sessions.move_to_end(key)
        session.document = document
        session.written = now = monotonic()
        self._chars += len(document.state)
        while self._chars > _CAPACITY or now - next(iter(self._sessions.values())).written > self._seconds:
            oldest = next(iter(self._sessions))
            self.forget(oldest)
            del self._sessions[oldest]
            if not self._sessions:
                break

    def forget(self, key: Key) -> None:
        """Forgets a document that somebody else wrote, or that nobody knows; not how often its guesses were right."""
        session = self._sessions.get(key)
        if session is not None and session.document is not None:
            self._chars -= len(session.document.state)
            session.document = None


class _Session:
    """What is known of a session.

    Attributes:
        document: As it was written; None: it may not be any more.
        written: When.
        rate: How often guesses were right.
    """

    __slots__ = ("document", "rate", "written")

    def __init__(self, rate: float) -> None:
        self.document: Document | None = None
        self.written = 0.0
        self.rate = rate
