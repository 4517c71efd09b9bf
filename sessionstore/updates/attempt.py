"""The outcome of each update of a write, and writes whose answers were lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from ..concurrency.call import Call, copy_of
from ..errors import UpdateOutcomeUnknownError
from ..ids import started_at
from ..storage import Document, Summary, Write
from ..storage.journal import appended_at
from .request import Update, Updated

UpdateCall: TypeAlias = Call[Update, Updated]


class Outcome(NamedTuple):
    """The outcome of one update.

    Attributes:
        call: The caller's call.
        version: The version that the update made.
        state: The state that the update made.
        error: Why the update failed; None: the update made a version.
        slots: The index of each of the caller's items among the items of the write; None: an earlier update of the
            write appends an item with the same id.
        after: The number of items that this update and the earlier updates of the write append.
    """

    call: UpdateCall
    version: int
    state: object
    error: BaseException | None = None
    slots: Sequence[int | None] = ()
    after: int = 0

    def tell(self, summary: Summary) -> None:
        """Answers the caller.

        Args:
            summary: The facts about the session after the write of all updates.
        """
        if self.error is not None:
            self.call.answer(self.error)
        else:
            told = summary if self.version == summary.version else summary._replace(version=self.version)
            appended = summary.appended
            if not appended:
                self.call.answer(Updated(told, self.state))
                return
            later = sum(position is not None for position in appended[self.after :])
            if later:
                told = told._replace(last_position=told.last_position - later)
            positions = [None if slot is None else appended[slot] for slot in self.slots]
            self.call.answer(Updated(told, self.state, positions))


class Attempt(NamedTuple):
    """A write whose answer was lost, the outcomes of its updates, and the error."""

    write: Write
    outcomes: Sequence[Outcome]
    error: UpdateOutcomeUnknownError

    def may_still_land(self, found: Summary) -> bool:
        """Whether a write that has not landed yet may still land: the session is still as the write expects it."""
        read = self.write.read
        return (read.version, read.last_write) == (found.version, found.last_write)

    def of_this_session(self, found: Summary) -> bool:
        """Whether the write was for the session that was found, and not for an earlier one of the same id."""
        read = self.write.read
        lower, higher = sorted((read.version, found.version))
        return read.created_at == found.created_at and started_at(higher, lower)

    def answer_unknown(self) -> None:
        """Tells the callers of the write that its outcome is unknown."""
        for outcome in self.outcomes:
            if outcome.error is None:
                outcome.call.answer(copy_of(self.error))

    def landed(self, document: Document) -> Summary:
        """Returns the facts about the session right after this write, computed from a document that was read later."""
        found = self._with_items(document)
        version = self.write.read.version + self.write.count
        if found.version == version:
            return found
        # Other callers wrote since. The times are those of their writes: the times of this write were lost.
        read = self.write.read
        return found._replace(
            version=version,
            last_write=self.write.id,
            deadline=read.deadline,
            ttl=read.ttl,
            origin=read.origin,
            owner_id=read.owner_id,
        )

    def _with_items(self, document: Document) -> Summary:
        """Returns the facts that were found, with the positions of this write's items if the journal tells them.

        The journal tells how many positions the write took, but not which items were passed over.
        """
        found, items = document.summary, self.write.items
        appends = "" if document.journal is None else document.journal.appends
        taken = appended_at(appends, self.write.id, found.last_position) if items else None
        if taken is None:
            return found
        first, last = taken
        appended: Sequence[int | None] = ()
        if last - first + 1 == len(items):
            appended = range(first, last + 1)
        elif last < first:
            appended = [None] * len(items)
        return found._replace(last_position=last, appended=appended)
