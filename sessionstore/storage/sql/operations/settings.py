"""The writes of set(). Each session is set once, also if the answer of an attempt is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, TypeAlias

from ....errors import StorageError, UpdateOutcomeUnknownError
from ....ids import first_version
from ... import Draft, Key, Summary
from ...journal import counted_after, new_write_id
from ..drivers.driver import Row
from ..statements.compiled import Statements
from ..statements.fields import set_fields
from ..statements.rows import SET_AT, document_of, expired_early, key_of, summary_of
from .attempts import Attempts, Told, Wanted
from .fetching import Fetching
from .reads import Reads
from .receipts import prevent

_Expiry: TypeAlias = tuple[datetime, datetime | None]


class Set(NamedTuple):
    """One write that sets a session.

    Attributes:
        draft: The session.
        callers: How many callers this write serves. The draft is from the last of them. The version grows by this
            number, so that each caller gets a version of its own.
    """

    draft: Draft
    callers: int = 1


class Settings(Attempts[Set, Summary]):
    """The set() requests of one call, or of several concurrent calls. See Attempts for the other arguments.

    Args:
        wishes: The sessions to set. If a key comes twice, its last draft is sent.
        renew: Whether the maximum lifetime of an overwritten session counts from now.
    """

    def __init__(
        self,
        wishes: Sequence[Set],
        statements: Statements,
        fetching: Fetching,
        reads: Reads,
        told: Told[Summary] | None = None,
        wanted: Wanted | None = None,
        *,
        renew: bool,
    ) -> None:
        super().__init__({wish.draft.key: wish for wish in wishes}, statements, fetching, reads, told, wanted)
        self._keys = [wish.draft.key for wish in wishes]
        self._renew = renew
        self._write_ids = {key: new_write_id() for key in self._keys}
        # The writes of the lost attempt, until it is known whether they landed.
        self._lost: dict[Key, Set] = {}
        self._was_lost = False

    async def made(self) -> Sequence[Summary]:
        """Sets the sessions, and returns the summary of each draft."""
        await self.run()
        return [self._results[key] for key in self._keys]

    async def _attempt(self) -> None:
        if self._lost:
            await self._look_up_lost()
        while sending := await self._next():
            try:
                rows = await self._set(sending)
            except UpdateOutcomeUnknownError:
                self._lost, self._was_lost = dict(sending), True
                raise
            except StorageError as error:
                # "Refused" tells the caller that a retry is safe. After a lost attempt, which may land, it is not safe.
                error.refused = error.refused and not self._was_lost
                await self._rounds.refused(error)
                continue
            # If the INSERT waited for a concurrent INSERT, its times are from before the wait. The session may have
            # expired during the wait, or its expiry has to be moved.
            moved = await self._reads.move([key_of(row) for row in rows if row[SET_AT + 1]])
            self._settle({key_of(row): _as_moved(row, moved) for row in rows if not self._expired_too_early(row)})
            if self._pending:
                left = [key for key in sending if key in self._pending]
                self._free = await self._rounds.again(left, self._pending, unwritten=self._unwritten)

    async def _set(self, wishes: Mapping[Key, Set]) -> Sequence[Row]:
        of = self._statements
        if self._one_call:
            statement = of.renew if self._renew else of.set
        else:
            statement = of.renew_together if self._renew else of.set_together
        fields = [set_fields(wish.draft, self._write_ids[key], wish.callers) for key, wish in wishes.items()]
        return await self._fetching.batch(statement, fields, writing=True, divisible=self._one_call)

    def _expired_too_early(self, row: Row) -> bool:
        """Returns whether a new session expired while its statement waited, so that it has to be set again.

        False for an overwritten session: it keeps its age, so the draft's ``max_lifetime`` may end it at once.
        """
        summary = summary_of(row)
        return summary.created_at == summary.updated_at and expired_early(row, now=SET_AT)

    async def _look_up_lost(self) -> None:
        """Finds out which drafts of the lost attempt landed. The others are sent again, under new versions.

        A lost attempt must not land after the look-up, because it could then overwrite a state that was set later.
        """
        await prevent([wish.draft.version for wish in self._lost.values()], self._statements, self._fetching)
        rows = await self._reads.read(self._lost, journal=True)
        landed: dict[Key, Summary] = {}
        for row in rows:
            document = document_of(row)
            summary, journal, write_id = document.summary, document.journal, self._write_ids[document.summary.key]
            if journal is not None and (later := counted_after(journal.writes, write_id)) is not None:
                landed[summary.key] = summary._replace(version=summary.version - later, last_write=write_id)
        self._pending |= {
            key: wish._replace(draft=replace(wish.draft, version=first_version())) for key, wish in self._lost.items()
        }
        self._lost = {}
        self._settle(landed)

    @property
    def _unwritten(self) -> bool:
        return super()._unwritten and not self._was_lost


def _as_moved(row: Row, moved: Mapping[Key, _Expiry]) -> Summary:
    """Returns the summary in a row, with the access that moved its expiry."""
    summary = summary_of(row)
    if (access := moved.get(summary.key)) is None:
        return summary
    return summary._replace(last_accessed_at=access[0], expires_at=access[1])
