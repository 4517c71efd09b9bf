"""The write cache: documents that this process wrote a moment ago, so that the next update needs no read.

A caller may also put a document there that it read and is about to update.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from math import prod
from time import monotonic
from typing import Final

from ..storage import Document, Key

_CAPACITY: Final = 8_000_000
"""The most characters of state in the cache."""

_BREAK_EVEN: Final = 0.5
"""The least likelihood that all guesses of a batch are right. A right guess saves a statement, and a wrong guess
costs one."""

_WEIGHT: Final = 1 / 8
"""The weight of the newest observation in a session's rate (an exponential moving average)."""
_WEIGHT_FOR_ALL: Final = 1 / 32
"""The weight of the newest observation in the mean rate, which a new session in the cache begins with."""


class WriteCache:
    """Documents as this process wrote them. Updates may begin with a cached document; reads never return one.

    An update that begins with such a document (a guess) is written only if the session is still at the version of the
    document. A wrong guess costs one statement and nothing else. Guesses are wrong if other processes write the same
    sessions. So the cache keeps a *rate* for each session: the share of right guesses, an exponential moving average.
    A batch begins with guesses only if the product of its sessions' rates is at least 1/2. A read of a cached session
    also tells whether a guess would have been right, so the rate recovers without trial guesses.

    Args:
        seconds: How long a document is kept; 0: not at all.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sessions: OrderedDict[Key, _Session] = OrderedDict()
        self._chars = 0
        self._rate = 1.0

    def guesses(self, keys: Iterable[Key]) -> list[Document] | None:
        """Returns the documents of all these sessions; None: one is missing or too old, or guessing does not pay."""
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
        """Notes whether a guess was right."""
        self._rate += (right - self._rate) * _WEIGHT_FOR_ALL
        session = self._sessions.get(key)
        if session is not None:
            session.rate += (right - session.rate) * _WEIGHT

    def read(self, key: Key, document: Document | None) -> None:
        """Compares a document that was read with the cached one, and notes whether a guess would have been right."""
        session = self._sessions.get(key)
        if session is None or session.document is None or monotonic() - session.written > self._seconds:
            return
        known = session.document.summary
        found = None if document is None else document.summary
        self.guessed(
            key, right=found is not None and (found.version, found.last_write) == (known.version, known.last_write)
        )

    def read_for_update(self, document: Document) -> None:
        """Puts a document that was read into the cache, unless this process has written a later one since."""
        key, read = document.summary.key, document.summary
        self.read(key, document)
        session = self._sessions.get(key)
        known = None if session is None else session.document
        if known is None or known.summary.version < read.version:
            self.wrote(document)
        elif (known.summary.version, known.summary.last_write) == (read.version, read.last_write):
            self.wrote(known)  # keeps the known document, which may have a journal

    def wrote(self, document: Document) -> None:
        """Puts a document into the cache and removes old ones."""
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
        """Removes a document from the cache; the rate of its session stays."""
        session = self._sessions.get(key)
        if session is not None and session.document is not None:
            self._chars -= len(session.document.state)
            session.document = None


class _Session:
    """A session in the cache.

    Attributes:
        document: The document as this process wrote it; None: there is none that may be current.
        written: When this process wrote the document, by ``time.monotonic()``.
        rate: The share of right guesses.
    """

    __slots__ = ("document", "rate", "written")

    def __init__(self, rate: float) -> None:
        self.document: Document | None = None
        self.written = 0.0
        self.rate = rate
