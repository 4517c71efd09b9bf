"""Updates of one document, as they go together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TypeAlias

from .combine import Call
from .errors import SessionConflictError, SessionNotFoundError
from .storage import Document, Key, Summary, Write

Make: TypeAlias = Callable[[Document], str]
"""Makes the new text of a document."""


class Update:
    """What a caller wants to become of a document."""

    __slots__ = ("_context", "_expected_version", "_make")

    def __init__(self, make: Make, expected_version: int | None) -> None:
        self._make = make
        self._expected_version = expected_version
        self._context = copy_context()

    def apply(self, document: Document) -> str:
        """The new text of the document, made in the context of the caller."""
        key, actual = document.summary.key, document.summary.version
        if self._expected_version is not None and actual != self._expected_version:
            raise SessionConflictError(key.session_id, expected=self._expected_version, actual=actual)
        return self._context.run(self._make, document)


UpdateCall: TypeAlias = Call[Update, Summary]


class Fold:
    """Updates of one document, applied one after the other as if each had been alone, and written once.

    Attributes:
        key: The document.
        calls: Those who want to change it, in their order.
    """

    def __init__(self, key: Key, calls: Sequence[UpdateCall]) -> None:
        self.key = key
        self.calls = calls
        self._outcomes: list[tuple[UpdateCall, int | BaseException]] = []
        self._read: Document | None = None
        self._write: Write | None = None
        self._guessed = False

    def apply(self, document: Document) -> Write | None:
        """Applies all to a document; the write that it takes, or None where none of them came to anything."""
        self._guessed = False
        self._apply(document)
        if self._write is None:
            # Nothing that they failed on is still to be written, so it can be told.
            self.tell(document.summary)
        return self._write

    def guess(self, document: Document) -> bool:
        """Applies all to what the document probably is; whether that came to a write, and nobody failed on a guess."""
        self._guessed = True
        self._apply(document)
        return self._write is not None and all(isinstance(outcome, int) for _, outcome in self._outcomes)

    def _apply(self, document: Document) -> None:
        read = document.summary.version
        self._read = document
        self._write = None
        self._outcomes = []
        for call in self.calls:
            if call.withdrawn or call.answered:
                continue
            try:
                state = call.request.apply(document)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is that caller's alone
                self._outcomes.append((call, error))
                continue
            summary = document.summary
            document = Document(state, summary._replace(version=summary.version + 1))
            self._outcomes.append((call, document.summary.version))
        if document.summary.version != read:
            self._write = Write(self._read.summary, document.state, count=document.summary.version - read)

    def latest(self) -> Write | None:
        """The write of those who still wait for it: made anew, if anybody was cancelled since they were applied."""
        if self._read is not None and any(call.withdrawn for call, _ in self._outcomes):
            if not self._guessed:
                return self.apply(self._read)
            if not self.guess(self._read):
                return None
        return self._write

    @property
    def chars(self) -> int:
        """How long the state is that is to be written."""
        return 0 if self._write is None else len(self._write.state)

    @property
    def waiting(self) -> bool:
        """Whether anybody waits for an answer."""
        return not all(call.answered or call.withdrawn for call in self.calls)

    def missing(self) -> None:
        """Tells all who have no answer yet that there is no session."""
        for call in self.calls:
            call.answer(SessionNotFoundError(self.key.session_id))

    def tell(self, summary: Summary) -> None:
        """Tells each what it came to, now that the others' changes it was applied to are there."""
        for call, outcome in self._outcomes:
            if isinstance(outcome, BaseException):
                call.answer(outcome)
            else:
                call.answer(summary if outcome == summary.version else summary._replace(version=outcome))
