"""Updates of one document, as they go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from ..concurrency.call import Call, copy_of
from ..concurrency.sent import Sent
from ..errors import SessionNotFoundError, UpdateOutcomeUnknownError
from ..ids import started_at
from ..storage import Document, Key, Summary, Write
from ..storage.journal import Fate, fate, has_key, new_write_id, with_key
from .request import AlreadyApplied, Update, Updated

UpdateCall: TypeAlias = Call[Update, Updated]


class _Outcome(NamedTuple):
    """What an update came to: the version and the state that it made, or an error."""

    call: UpdateCall
    version: int
    state: object
    error: BaseException | None = None

    def tell(self, summary: Summary) -> None:
        """Tells the caller, with the facts about the session as the write of all left it."""
        if self.error is not None:
            self.call.answer(self.error)
        else:
            told = summary if self.version == summary.version else summary._replace(version=self.version)
            self.call.answer(Updated(told, self.state))


class _Attempt(NamedTuple):
    """A write whose answer was lost, what it would tell each of its calls, and how it was lost."""

    write: Write
    outcomes: Sequence[_Outcome]
    error: UpdateOutcomeUnknownError

    def open_at(self, found: Summary) -> bool:
        """Whether it may still land, if it has not: the document is as it was read for this write."""
        read = self.write.read
        return (read.version, read.last_write) == (found.version, found.last_write)

    def of_this_session(self, found: Summary) -> bool:
        """Whether it was to write the session that is found, and not an earlier one of the same id."""
        read = self.write.read
        lower, higher = sorted((read.version, found.version))
        return read.created_at == found.created_at and started_at(higher, lower)

    def untold(self) -> None:
        """Tells those whom it was to write for that it cannot be told."""
        for outcome in self.outcomes:
            if outcome.error is None:
                outcome.call.answer(copy_of(self.error))

    def landed(self, found: Summary) -> Summary:
        """The facts about the session as this write left it, from those that are found now."""
        version = self.write.read.version + self.write.count
        if found.version == version:
            return found
        # Others wrote since. What only a write changes is as it was read; nobody knows any more when this one was.
        read = self.write.read
        return found._replace(
            version=version,
            last_write=self.write.id,
            deadline=read.deadline,
            ttl=read.ttl,
            origin=read.origin,
            owner_id=read.owner_id,
        )


class Fold:
    """Updates of one document, applied one after the other as if each had been alone, and written once.

    Attributes:
        key: The document.
        calls: Those who want to change it, in their order.
        keyed: Whether any of them has an idempotency key.
        losses: How often it was not written because somebody else wrote, or holds the row.
        halved_until: Until when it is done in halves where it is refused; None: it was not refused yet.
    """

    __slots__ = (
        "_attempts",
        "_guessed",
        "_keys",
        "_outcomes",
        "_read",
        "_resent",
        "_sending",
        "_text",
        "_version",
        "_write",
        "_write_id",
        "calls",
        "halved_until",
        "key",
        "keyed",
        "losses",
    )

    def __init__(self, key: Key, calls: Sequence[UpdateCall], halved_until: float | None = None) -> None:
        self.key = key
        self.calls = calls
        self.halved_until = halved_until
        self.losses = 0
        self._outcomes: list[_Outcome] = []
        self._read: Document | None = None
        self._write: Write | None = None
        self._guessed = self._resent = self._sending = False
        self._attempts: list[_Attempt] = []
        self.keyed = False
        for call in calls:
            if call.request.key is not None:
                self.keyed = True

    def apply(self, document: Document, *, guess: bool = False) -> Iterator[None]:
        """Applies all to a document; to be followed by finish(). Stops before each function, so that others have turns.

        If an earlier write was lost, the document tells first what became of it. If that one may still land, it is sent
        once more as it is: whichever of the two lands, the functions were applied once, and nobody is told of a
        failure or left out of it although his change may still come.

        Args:
            document: What was read.
            guess: Whether it is only what the document probably is.
        """
        self._guessed = guess
        if self._attempts and not guess:
            self._settle(document)
        self._read = document
        self._write = None
        self._outcomes = []
        self._resent = self._sending = False
        if self._attempts and not guess and self.waiting:
            self._resent = True
            self._write, self._outcomes = self._attempts[-1].write, list(self._attempts[-1].outcomes)
            return
        self._version = document.summary.version
        self._text = document.state
        self._keys = "" if document.journal is None else document.journal.keys
        self._write_id = ""
        for call in self.calls:
            if call.withdrawn or call.answered:
                continue
            yield
            if not call.withdrawn:
                self._apply(call, document)

    def _apply(self, call: UpdateCall, document: Document) -> None:
        request = call.request
        if self._write_id:  # as the one before leaves it
            summary = document.summary._replace(version=self._version, last_write=self._write_id)
            document = Document(self._text, summary)
        # Not raised here: a traceback would lead to this fold, and from there to the error again.
        if not request.concerns(document):
            self._outcomes.append(_Outcome(call, 0, None, SessionNotFoundError(self.key.session_id)))
            return
        if request.key is not None and has_key(self._keys, request.key):
            self._outcomes.append(_Outcome(call, 0, None, AlreadyApplied()))
            return
        try:
            made = request.apply(document)
            if request.key is not None:
                self._keys = with_key(self._keys, request.key, request.keys)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is that caller's alone
            self._outcomes.append(_Outcome(call, 0, None, error))
            return
        self._text = made.text
        self._version += 1
        self._write_id = self._write_id or new_write_id()
        self._outcomes.append(_Outcome(call, self._version, made.state))

    def finish(self) -> Write | None:
        """The write of what was applied, or None where none of them came to anything: then all are told."""
        assert self._read is not None
        if self._resent:
            return self._write
        summary, journal = self._read.summary, self._read.journal
        if self._write_id:
            changed = None if self._keys == ("" if journal is None else journal.keys) else self._keys
            count = self._version - summary.version
            self._write = Write(summary, self._text, count=count, id=self._write_id, keys=changed)
        elif not self._guessed:
            # Nothing that they failed on is still to be written, so it can be told.
            self.tell(summary)
        return self._write

    def apply_to_write(self, document: Document, go_on: Callable[[], bool], sent: Sent) -> Write | None:
        """apply(), for what is written at once. Those whom the time does not suffice for are left open."""
        for _ in self.apply(document):
            if not go_on():
                break
        write = self.finish()
        self.sending(sent)
        return write

    def may_guess(self, document: Document) -> bool:
        """Whether the document that is guessed has all that applying it takes."""
        return document.journal is not None or not self.needs_journal

    @property
    def sure(self) -> bool:
        """Whether there is something to write, and nobody failed on a guess."""
        return self._write is not None and (not self._guessed or all(it.error is None for it in self._outcomes))

    def fits(self, document: Document) -> bool:
        """Whether its write was made of exactly this document: if it was not written, somebody holds the row."""
        if self._write is None or self._read is None or self.outdated:
            return False
        read, found = self._read.summary, document.summary
        return (read.version, read.last_write, read.created_at) == (found.version, found.last_write, found.created_at)

    @property
    def outdated(self) -> bool:
        """Whether anybody was cancelled since they were applied: then it is to be applied again without him."""
        return not self._resent and any(outcome.call.withdrawn for outcome in self._outcomes)

    @property
    def asked(self) -> int:
        """For how many calls it was read or written, also for those whose callers are gone meanwhile."""
        return len(self._outcomes) or len(self.calls)

    def again(self) -> Iterator[None]:
        """Applies all once more to what they were applied to before."""
        assert self._read is not None
        return self.apply(self._read, guess=self._guessed)

    @property
    def write(self) -> Write | None:
        """What is to be written."""
        return self._write

    def sending(self, sent: Sent) -> None:
        """Notes for those whom it is for that it is sent from now on."""
        self._sending = True
        for outcome in self._outcomes:
            if outcome.error is None:
                outcome.call.request.sent = sent

    def refused(self) -> None:
        """Notes that what was sent is not written."""
        self._sending = False
        lost = {id(outcome.call) for attempt in self._attempts for outcome in attempt.outcomes}
        for outcome in self._outcomes:
            if id(outcome.call) not in lost:
                outcome.call.request.sent = None

    def lose(self, error: UpdateOutcomeUnknownError) -> None:
        """Notes that the answer to what was written was lost."""
        if self._write is not None and self._sending:
            if not self._resent:
                self._attempts.append(_Attempt(self._write, self._outcomes, error))
            self._write = None
            self._outcomes = []

    def _settle(self, document: Document) -> None:
        """Tells those whose write was lost and landed, or cannot be told of.

        What has not landed and never will is forgotten, so that its calls are applied again.
        """
        open_attempts: list[_Attempt] = []
        for attempt in self._attempts:
            write = attempt.write
            if not attempt.of_this_session(document.summary):
                attempt.untold()
                continue
            writes = None if document.journal is None else document.journal.writes
            found = fate(write.id, write.read.version, document.summary.version, writes)
            if found is Fate.LANDED:
                summary = attempt.landed(document.summary)
                for outcome in attempt.outcomes:
                    outcome.tell(summary)
            elif found is Fate.UNTOLD:
                attempt.untold()
            elif attempt.open_at(document.summary):
                open_attempts.append(attempt)
        self._attempts = open_attempts

    @property
    def unsettled(self) -> bool:
        """Whether a write was lost, and somebody waits to learn what became of it."""
        return bool(self._attempts) and self.waiting

    def give_up(self) -> None:
        """Tells those whose write was lost that it cannot be told."""
        for attempt in self._attempts:
            attempt.untold()
        self._attempts = []

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

    @property
    def chars(self) -> int:
        """How long the state is that is to be written."""
        return 0 if self._write is None else len(self._write.state)

    @property
    def open(self) -> list[UpdateCall]:
        """Those who wait for an answer."""
        return [call for call in self.calls if not (call.answered or call.withdrawn)]

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
        for outcome in self._outcomes:
            outcome.tell(summary)
