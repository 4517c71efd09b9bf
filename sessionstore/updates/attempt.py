"""The outcome of each update of a write, and writes whose answers were lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from ..concurrency.call import Call, copy_of
from ..errors import UpdateOutcomeUnknownError
from ..ids import started_at
from ..storage import Summary, Write
from .request import Update, Updated

UpdateCall: TypeAlias = Call[Update, Updated]


class Outcome(NamedTuple):
    """The outcome of one update: the version and the state that it made, or an error."""

    call: UpdateCall
    version: int
    state: object
    error: BaseException | None = None

    def tell(self, summary: Summary) -> None:
        """Answers the caller.

        Args:
            summary: The facts about the session after the write of all updates.
        """
        if self.error is not None:
            self.call.answer(self.error)
        else:
            told = summary if self.version == summary.version else summary._replace(version=self.version)
            self.call.answer(Updated(told, self.state))


class Attempt(NamedTuple):
    """A write whose answer was lost, the outcomes of its updates, and the error."""

    write: Write
    outcomes: Sequence[Outcome]
    error: UpdateOutcomeUnknownError

    def open_at(self, found: Summary) -> bool:
        """Whether the write, if it has not landed, may still land: the session is as it was read for the write."""
        read = self.write.read
        return (read.version, read.last_write) == (found.version, found.last_write)

    def of_this_session(self, found: Summary) -> bool:
        """Whether the write was for the session that was found, and not for an earlier one of the same id."""
        read = self.write.read
        lower, higher = sorted((read.version, found.version))
        return read.created_at == found.created_at and started_at(higher, lower)

    def untold(self) -> None:
        """Answers the updates of the write that their outcome is unknown."""
        for outcome in self.outcomes:
            if outcome.error is None:
                outcome.call.answer(copy_of(self.error))

    def landed(self, found: Summary) -> Summary:
        """The facts about the session right after this write, computed from the facts that were found now."""
        version = self.write.read.version + self.write.count
        if found.version == version:
            return found
        # Other callers wrote since. Only the times are taken from their writes, because those of this write are lost.
        read = self.write.read
        return found._replace(
            version=version,
            last_write=self.write.id,
            deadline=read.deadline,
            ttl=read.ttl,
            origin=read.origin,
            owner_id=read.owner_id,
        )
