"""Updates of one document, as they go together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import NamedTuple, TypeAlias

from .call import Call, twin
from .errors import SessionConflictError, SessionNotFoundError, UpdateOutcomeUnknownError
from .ids import Version
from .journal import Fate, fate, has_key, with_key
from .storage import Document, Key, Summary, Write

Make: TypeAlias = Callable[[Document], str]
"""Makes the new text of a document."""


class Update:
    """What a caller wants to become of a document.

    Attributes:
        key: The idempotency key, as rows remember it; None: none.
        keys: How many keys the row is to remember.
        sent: Whether it may have been written, for all that is known.
    """

    __slots__ = ("_context", "_expected_version", "_make", "_owner_id", "key", "keys", "sent")

    def __init__(
        self,
        make: Make,
        expected_version: int | None,
        key: str | None = None,
        keys: int = 0,
        owner_id: str | None = None,
    ) -> None:
        self._make = make
        self._expected_version = expected_version
        self._owner_id = owner_id
        self._context = copy_context()
        self.key = key
        self.keys = keys
        # Not the fold that would know: the two would keep each other, and two states, until garbage is collected.
        self.sent = False

    def concerns(self, document: Document) -> bool:
        """Whether the document is one that the caller may know of."""
        return self._owner_id is None or self._owner_id == document.summary.owner_id

    def apply(self, document: Document) -> str:
        """The new text of the document, made in the context of the caller."""
        key, actual = document.summary.key, document.summary.version
        expected = self._expected_version
        if expected is not None:
            if actual != expected:
                raise SessionConflictError(key.session_id, expected=expected, actual=actual)
            if isinstance(expected, Version) and expected.write != document.summary.last_write:
                raise SessionConflictError(key.session_id, expected=expected, actual=actual, rewritten=True)
        return self._context.run(self._make, document)


UpdateCall: TypeAlias = Call[Update, Summary]


class AlreadyApplied(Exception):
    """The session has seen the idempotency key of this update."""


class _Attempt(NamedTuple):
    """A write whose answer was lost, what it would tell each of its calls, and how it was lost."""

    write: Write
    outcomes: Sequence[tuple[UpdateCall, int | BaseException]]
    error: UpdateOutcomeUnknownError

    def untold(self) -> None:
        """Tells those whom it was to write for that it cannot be told."""
        for call, outcome in self.outcomes:
            if isinstance(outcome, int):
                call.answer(twin(self.error))


class Fold:
    """Updates of one document, applied one after the other as if each had been alone, and written once.

    Attributes:
        key: The document.
        calls: Those who want to change it, in their order.
        keyed: Whether any of them has an idempotency key.
    """

    __slots__ = ("_attempts", "_guessed", "_outcomes", "_read", "_write", "calls", "key", "keyed")

    def __init__(self, key: Key, calls: Sequence[UpdateCall]) -> None:
        self.key = key
        self.calls = calls
        self._outcomes: list[tuple[UpdateCall, int | BaseException]] = []
        self._read: Document | None = None
        self._write: Write | None = None
        self._guessed = False
        self._attempts: list[_Attempt] = []
        self.keyed = False
        for call in calls:
            if call.request.key is not None:
                self.keyed = True

    def apply(self, document: Document) -> Write | None:
        """Applies all to a document; the write that it takes, or None where none of them came to anything.

        If an earlier write was lost, the document tells first what became of it.
        """
        self._guessed = False
        if self._attempts:
            self._settle(document)
        self._apply(document)
        if self._write is None:
            # Nothing that they failed on is still to be written, so it can be told.
            self.tell(document.summary)
        return self._write

    def guess(self, document: Document) -> bool:
        """Applies all to what the document probably is; whether that came to a write, and nobody failed on a guess."""
        self._guessed = True
        if document.journal is None and self.needs_journal:
            return False
        self._apply(document)
        return self._write is not None and all(isinstance(outcome, int) for _, outcome in self._outcomes)

    def _apply(self, document: Document) -> None:
        self._read = document
        self._write = None
        self._outcomes = []
        read = version = document.summary.version
        state = document.state
        remembered = keys = "" if document.journal is None else document.journal.keys
        for call in self.calls:
            if call.withdrawn or call.answered:
                continue
            if not call.request.concerns(document):
                self._outcomes.append((call, SessionNotFoundError(self.key.session_id)))
                continue
            digest = call.request.key
            if digest is not None and has_key(keys, digest):
                self._outcomes.append((call, AlreadyApplied()))
                continue
            if document.summary.version != version:  # as the one before leaves it
                document = Document(state, document.summary._replace(version=version))
            try:
                state = call.request.apply(document)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is that caller's alone
                self._outcomes.append((call, error))
                continue
            version += 1
            self._outcomes.append((call, version))
            if digest is not None:
                keys = with_key(keys, digest, call.request.keys)
        if version != read:
            changed = None if keys == remembered else keys
            self._write = Write(self._read.summary, state, count=version - read, keys=changed)

    def apply_to_write(self, document: Document) -> Write | None:
        """apply(), for what is written at once."""
        write = self.apply(document)
        self._note(sent=write is not None)
        return write

    def reset(self) -> None:
        """Forgets what was applied to what is read anew."""
        self._read = self._write = None
        self._outcomes = []

    def sending(self) -> Write | None:
        """latest(), which from now on may be written."""
        write = self.latest()
        self._note(sent=write is not None)
        return write

    def refused(self) -> None:
        """Notes that what was sent is not written."""
        self._note(sent=bool(self._attempts))

    def _note(self, *, sent: bool) -> None:
        for call in self.calls:
            call.request.sent = sent

    def lose(self, error: UpdateOutcomeUnknownError) -> None:
        """Notes that the answer to what was written was lost."""
        if self._write is not None:
            self._attempts.append(_Attempt(self._write, self._outcomes, error))
            self._write = None

    def _settle(self, document: Document) -> None:
        """Tells those whose write was lost and landed, or cannot be told of; the others are applied again."""
        for attempt in self._attempts:
            write = attempt.write
            if write.read.created_at != document.summary.created_at:
                attempt.untold()
                continue
            writes = None if document.journal is None else document.journal.writes
            found = fate(write.id, write.read.version, document.summary.version, writes)
            if found is Fate.LANDED:
                self._outcomes = list(attempt.outcomes)
                self.tell(document.summary)
            elif found is Fate.UNTOLD:
                attempt.untold()

    @property
    def unsettled(self) -> bool:
        """Whether a write was lost, and somebody waits to learn what became of it."""
        return bool(self._attempts) and self.waiting

    def give_up(self) -> None:
        """Tells those whose write was lost that it cannot be told."""
        for call in self.calls:
            call.answer(twin(self._attempts[-1].error))

    @property
    def needs_journal(self) -> bool:
        """Whether the document's journal has to be read with it."""
        return self.keyed or bool(self._attempts)

    def document(self, summary: Summary) -> Document:
        """What was written, now that it is."""
        assert self._read is not None
        assert self._write is not None
        journal = self._read.journal
        if journal is not None and self._write.keys is not None:
            journal = journal._replace(keys=self._write.keys)
        return Document(self._write.state, summary, journal)

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
        """Tells all who have no answer yet that there is no session; or that there is none any more to tell by."""
        for attempt in self._attempts:
            attempt.untold()
        for call in self.calls:
            call.answer(SessionNotFoundError(self.key.session_id))

    def tell(self, summary: Summary) -> None:
        """Tells each what it came to, now that the others' changes it was applied to are there."""
        for call, outcome in self._outcomes:
            if isinstance(outcome, BaseException):
                call.answer(outcome)
            else:
                call.answer(summary if outcome == summary.version else summary._replace(version=outcome))
