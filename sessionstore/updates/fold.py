"""Fold: several updates of one document, applied one after the other and written once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..concurrency.sent import Sent
from ..errors import SessionNotFoundError, UpdateOutcomeUnknownError
from ..storage import Document, Key, Summary, Write
from ..storage.harvest import Harvest
from ..storage.journal import Fate, fate, has_key, new_write_id, with_key
from .attempt import Attempt, Outcome, UpdateCall
from .request import AlreadyApplied


class Fold:
    """Updates of one document that are applied one after the other and written once.

    Attributes:
        key: The document.
        calls: The calls of the callers, in order.
        keyed: Whether any call has an idempotency key.
        losses: How many writes did not land, because another caller wrote or another transaction holds the row.
        halved_until: Until when a refused fold is bisected, by ``time.monotonic()``; None: it was not refused yet.
        write: The write of the applied updates; None: there is none.
    """

    __slots__ = (
        "_attempts",
        "_guessed",
        "_harvest",
        "_keys",
        "_outcomes",
        "_read",
        "_resent",
        "_sending",
        "_state_version",
        "_text",
        "_version",
        "_write_id",
        "calls",
        "halved_until",
        "key",
        "keyed",
        "losses",
        "write",
    )

    def __init__(self, key: Key, calls: Sequence[UpdateCall], halved_until: float | None = None) -> None:
        self.key = key
        self.calls = calls
        self.halved_until = halved_until
        self.losses = 0
        self._outcomes: list[Outcome] = []
        self._harvest = Harvest()
        self._read: Document | None = None
        self.write: Write | None = None
        self._guessed = self._resent = self._sending = False
        self._attempts: list[Attempt] = []
        self.keyed = any(call.request.key is not None for call in calls)

    def apply(self, document: Document, *, guess: bool = False) -> Iterator[None]:
        """Applies all updates to a document. Yields before each function, so that other tasks get turns.

        Call finish() afterwards. If the answer to an earlier write was lost, the document shows whether the write
        landed. A write that may still land is sent again unchanged. So the functions are applied once, whichever of the
        two writes lands, and no caller is told that its update failed while the update may still land.

        Args:
            document: The document that was read, or a guess.
            guess: Whether the document comes from the write cache and may be out of date.
        """
        self._guessed = guess
        if self._attempts and not guess:
            self._settle(document)
        self._read = document
        self.write = None
        self._outcomes = []
        self._resent = self._sending = False
        if self._attempts and not guess and self.waiting:
            self._resent = True
            self.write, self._outcomes = self._attempts[-1].write, list(self._attempts[-1].outcomes)
            return
        self._version = document.summary.version
        self._text, self._state_version = document.state, document.state_version
        self._keys = "" if document.journal is None else document.journal.keys
        self._write_id = ""
        self._harvest = Harvest()
        for call in self.calls:
            if call.withdrawn or call.answered:
                continue
            if not self._harvest.fits(call.request.items):
                return  # this call and the later ones stay open for the next write
            yield
            if not call.withdrawn:
                self._apply(call, document)

    def _apply(self, call: UpdateCall, document: Document) -> None:
        request = call.request
        if self._write_id:  # continue from the document that the update before this one made
            summary = document.summary._replace(version=self._version, last_write=self._write_id)
            document = Document(self._text, summary, state_version=self._state_version)
        # The errors are not raised here: a traceback refers to this fold, and the fold to the error, which is a cycle.
        if not request.concerns(document):
            self._outcomes.append(Outcome(call, 0, None, SessionNotFoundError(self.key.session_id)))
            return
        if request.key is not None and has_key(self._keys, request.key):
            assert self._read is not None
            self._outcomes.append(Outcome(call, 0, None, AlreadyApplied(self._read.summary.version)))
            return
        try:
            made = request.apply(document)
            slots = self._harvest.add(self.key, request.items, request.keep)
            if request.key is not None:
                self._keys = with_key(self._keys, request.key, request.keys)
        except BaseException as error:  # noqa: BLE001  # any exception of the function is the answer of its caller
            self._outcomes.append(Outcome(call, 0, None, error))
            return
        self._text, self._state_version = made.text, made.state_version
        self._version += 1
        self._write_id = self._write_id or new_write_id()
        self._outcomes.append(Outcome(call, self._version, made.state, None, slots, len(self._harvest.items)))

    def finish(self) -> Write | None:
        """Returns the write of the applied updates; None: all failed. Answers the callers then, unless on a guess."""
        assert self._read is not None
        if self._resent:
            return self.write
        summary = self._read.summary
        if self._write_id:
            read = "" if self._read.journal is None else self._read.journal.keys
            added = self._keys != read
            self.write = Write(
                summary,
                self._text,
                count=self._version - summary.version,
                id=self._write_id,
                keys=self._keys if added else None,
                keys_read=read if added else None,
                items=self._harvest.items,
                keep=self._harvest.keep,
                state_version=self._state_version,
            )
        elif not self._guessed:
            # All updates failed on the stored document, so their errors are final.
            self.tell(summary)
        return self.write

    def apply_to_write(self, document: Document, go_on: Callable[[], bool], sent: Sent) -> Write | None:
        """Applies updates and returns the write, for a transaction that writes at once.

        Args:
            document: The document under the row lock.
            go_on: Whether there is time for another function. Calls without time stay open.
            sent: Where the storage reports that it sends the write.
        """
        for _ in self.apply(document):
            if not go_on():
                break
        write = self.finish()
        self.sending(sent)
        return write

    def may_guess(self, document: Document) -> bool:
        """Whether a document of the write cache suffices: it has a journal, or the updates need none."""
        return document.journal is not None or not self.needs_journal

    @property
    def sure(self) -> bool:
        """Whether there is a write, and no update failed on a guess."""
        return self.write is not None and (not self._guessed or all(it.error is None for it in self._outcomes))

    def fits(self, document: Document) -> bool:
        """Whether the write was made from this very document. If it did not land, another transaction holds the row."""
        if self.write is None or self._read is None or self.outdated:
            return False
        read, found = self._read.summary, document.summary
        if self.write.keys_read not in (None, document.journal and document.journal.keys):
            return False  # an append added an idempotency key, and appends make no new version
        return (read.version, read.last_write, read.created_at) == (found.version, found.last_write, found.created_at)

    @property
    def outdated(self) -> bool:
        """Whether a caller was cancelled after its update was applied. Then the other updates must be applied again."""
        return not self._resent and any(outcome.call.withdrawn for outcome in self._outcomes)

    @property
    def asked(self) -> int:
        """The number of calls that the last read or write was for, including calls that were cancelled since."""
        return max(len(self._outcomes), len(self.open)) if self._outcomes else len(self.calls)

    def again(self) -> Iterator[None]:
        """Applies all updates once more to the same document."""
        assert self._read is not None
        return self.apply(self._read, guess=self._guessed)

    def sending(self, sent: Sent) -> None:
        """Notes that the write is sent from now on."""
        self._sending = True
        for outcome in self._outcomes:
            if outcome.error is None:
                outcome.call.request.sent = sent

    @property
    def under_way(self) -> bool:
        """Whether the storage was given the write, and the outcome is not known yet."""
        return self._sending and self.write is not None

    def refused(self) -> None:
        """Notes that the write did not land."""
        self._sending = False
        lost = {id(outcome.call) for attempt in self._attempts for outcome in attempt.outcomes}
        for outcome in self._outcomes:
            if id(outcome.call) not in lost:
                outcome.call.request.sent = None

    def lose(self, error: UpdateOutcomeUnknownError) -> None:
        """Notes that the answer to the write was lost."""
        if self.under_way and self.write is not None:
            if not self._resent:
                self._attempts.append(Attempt(self.write, self._outcomes, error))
            self.write = None
            self._outcomes = []

    def _settle(self, document: Document) -> None:
        """Answers the calls of lost writes that landed, or whose outcome can no longer be known.

        Forgets a write that has not landed and never will, so that its calls are applied again.
        """
        open_attempts: list[Attempt] = []
        for attempt in self._attempts:
            write = attempt.write
            if not attempt.of_this_session(document.summary):
                attempt.answer_unknown()
                continue
            writes = None if document.journal is None else document.journal.writes
            found = fate(write.id, write.read.version, document.summary.version, writes)
            if found is Fate.LANDED:
                summary = attempt.landed(document)
                for outcome in attempt.outcomes:
                    outcome.tell(summary)
            elif found is Fate.UNTOLD:
                attempt.answer_unknown()
            elif attempt.may_still_land(document.summary):
                open_attempts.append(attempt)
        self._attempts = open_attempts

    @property
    def unsettled(self) -> bool:
        """Whether the answer to a write was lost, and a caller waits for it."""
        return bool(self._attempts) and self.waiting

    def give_up(self) -> None:
        """Tells the callers of lost writes that the outcome is unknown."""
        for attempt in self._attempts:
            attempt.answer_unknown()
        self._attempts = []

    @property
    def needs_journal(self) -> bool:
        """Whether the document has to be read with its journal."""
        return self.keyed or bool(self._attempts)

    def document(self, summary: Summary) -> Document:
        """Returns the document as the write left it, with the facts about the session after the write."""
        assert self._read is not None
        assert self.write is not None
        journal = self._read.journal
        if journal is not None and self.write.keys is not None:
            journal = journal._replace(keys=self.write.keys)
        write, summary = self.write, summary._replace(appended=())
        return Document(write.state, summary, journal, state_version=write.state_version)

    @property
    def chars(self) -> int:
        """The length of the state and the items to write, in characters."""
        return 0 if self.write is None else len(self.write.state) + self._harvest.chars

    @property
    def open(self) -> list[UpdateCall]:
        """The calls that wait for an answer."""
        return [call for call in self.calls if not (call.answered or call.withdrawn)]

    @property
    def waiting(self) -> bool:
        """Whether a call waits for an answer."""
        return not all(call.answered or call.withdrawn for call in self.calls)

    def missing(self) -> None:
        """Answers all open calls after the session was not found. The outcome of a lost write is unknown then."""
        self.give_up()
        for call in self.calls:
            call.answer(SessionNotFoundError(self.key.session_id))

    def tell(self, summary: Summary) -> None:
        """Answers all calls with their outcomes, after the write landed."""
        for outcome in self._outcomes:
            outcome.tell(summary)
