"""Creations of sessions. Each draft creates at most one session, even if the answer of an attempt is lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ....errors import StorageError, UpdateOutcomeUnknownError
from ....ids import first_version, started_at
from ... import Creation, Document, Draft, Key
from ..drivers.driver import Row
from ..faults import LOCK_NOT_AVAILABLE
from ..statements.compiled import Statements
from ..statements.fields import draft_fields
from ..statements.rows import CREATED, DUE, document_of, expired_early, key_of
from .attempts import Attempts, Told, Wanted
from .changes import Changes
from .fetching import Fetching, in_halves
from .placing import positions_of
from .reads import Reads, may_access
from .receipts import prevent


class Creations(Attempts[Draft, Creation]):
    """The creations of one call, or of several concurrent calls. See Attempts for the other arguments.

    Args:
        drafts: The sessions to create. If a key comes twice, its first draft is sent.
        changes: Creates sessions with items.
    """

    def __init__(
        self,
        drafts: Sequence[Draft],
        statements: Statements,
        fetching: Fetching,
        reads: Reads,
        changes: Changes,
        told: Told[Creation] | None = None,
        wanted: Wanted | None = None,
    ) -> None:
        pending: dict[Key, Draft] = {}
        for draft in drafts:
            pending.setdefault(draft.key, draft)
        super().__init__(pending, statements, fetching, reads, told, wanted)
        self._drafts = drafts
        self._changes = changes
        # The versions of the drafts of lost attempts. They tell a session that such an attempt created.
        self._lost: dict[Key, list[int]] = {}
        # The versions of lost attempts that may still land.
        self._unsettled: list[int] = []
        self._transact = False

    async def made(self) -> Sequence[Creation]:
        """Creates the sessions, and returns the result of each draft. If a key comes twice, its first draft creates."""
        await self.run()
        creations: list[Creation] = []
        for draft in self._drafts:
            creations.append(self._results[draft.key])
            self._results[draft.key] = Creation(self._results[draft.key].document, created=False)
        return creations

    async def _attempt(self) -> None:
        if self._unsettled:
            await prevent(self._unsettled, self._statements, self._fetching)
            self._unsettled = []
        # Usually one round is enough. More are needed if another caller creates or deletes the session during the
        # round, or holds its expired row.
        while sending := await self._next():
            try:
                rows = await self._insert(sending.values())
            except UpdateOutcomeUnknownError:
                self._start_anew(sending)
                raise
            except StorageError as error:
                # "Refused" tells the caller that a retry is safe. After a lost attempt, which may land, it is not safe.
                error.refused = error.refused and not self._lost
                if (self._one_call or len(sending) == 1) and error.code == LOCK_NOT_AVAILABLE:
                    # The statement waited too long for an uncommitted INSERT of the same key. A lone draft waits in a
                    # transaction next time: before its COMMIT, nothing can have landed.
                    self._transact = len(sending) == 1
                    await self._rounds.pause(sending, unwritten=self._unwritten)
                else:
                    await self._rounds.refused(error)
                continue
            # If the INSERT waited for a concurrent INSERT, its times are from before the wait. The session may have
            # expired during the wait, or its expiry has to be moved.
            created = [row for row in rows if row[CREATED] and not expired_early(row)]
            made = {key_of(row): document_of(row) for row in created}
            if late := [row for row in created if row[DUE]]:
                made |= await self._access(late, {})
            self._settle({key: self._created(key, document) for key, document in made.items()})
            found = [row for row in rows if not row[CREATED]]
            answered = {*made, *map(key_of, found)}
            drafts = {key: draft for key, draft in sending.items() if key not in answered}
            documents = await self._access(found, drafts)
            self._settle(
                {
                    key: self._created(key, it) if self._is_ours(key, it) else Creation(it, created=False)
                    for key, it in documents.items()
                }
            )
            if self._pending:
                left = [key for key in sending if key in self._pending]
                self._free = await self._rounds.again(left, self._pending, unwritten=self._unwritten)

    async def _insert(self, pending: Iterable[Draft]) -> Sequence[Row]:
        """Inserts drafts whose keys have no live session. Returns rows of the created and of the found sessions."""
        if self._with_items or self._transact:
            return await in_halves(list(pending), self._changes.create, divisible=self._one_call)
        fields = map(draft_fields, pending)
        return await self._fetching.batch(self._statements.create, fields, writing=True, divisible=self._one_call)

    async def _access(self, rows: Sequence[Row], unread: Mapping[Key, Draft]) -> Mapping[Key, Document]:
        """Accesses the sessions of rows that were just read, and of drafts that are unread, and returns the documents.

        Sessions of other owners are returned too, but not accessed.
        """
        asked = {(draft.key, draft.owner_id) for draft in self._drafts}
        rows = [*rows, *await self._reads.read(unread)]
        others = {key_of(row) for row in rows if not may_access(row, asked)}
        found = {key: document_of(row) for row in rows if (key := key_of(row)) in others}
        return found | await self._reads.access([row for row in rows if key_of(row) not in others])

    @property
    def _with_items(self) -> bool:
        return any(draft.items for draft in self._pending.values())

    def _created(self, key: Key, document: Document) -> Creation:
        """Returns the result of a draft that created the session."""
        items = self._pending[key].items
        if not items:
            return Creation(document, created=True)
        appended = positions_of(items, (), 0)
        return Creation(document._replace(summary=document.summary._replace(appended=appended)), created=True)

    @property
    def _unwritten(self) -> bool:
        return super()._unwritten and not self._lost

    def _start_anew(self, sent: Mapping[Key, Draft]) -> None:
        for key, draft in sent.items():
            self._lost.setdefault(key, []).append(draft.version)
            self._unsettled.append(draft.version)
            self._pending[key] = replace(draft, version=first_version())

    def _is_ours(self, key: Key, document: Document) -> bool:
        return any(started_at(document.summary.version, first) for first in self._lost.get(key, ()))
