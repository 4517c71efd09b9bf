"""Drafts that become sessions, each of them once, also where answers are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from ....concurrency.retry_window import until_told
from ....errors import StorageError, UpdateOutcomeUnknownError
from ....ids import first_version, started_at
from ... import Creation, Document, Draft, Key
from ..drivers.driver import Row
from ..statements.compiled import Statements
from ..statements.rows import CREATED, DUE, document_of, draft_fields, key_of, over
from .fetching import Fetching
from .reads import Reads, may_access
from .rounds import Rounds

_LOCK_NOT_AVAILABLE: Final = "55P03"

Told: TypeAlias = Callable[[Key, Creation], None]
"""Takes what came of the first draft of a key, as soon as it is known."""


class Creations:
    """The creations of one call, or of several calls that go together.

    Args:
        drafts: What to create.
        statements: The statements of the storage.
        fetching: Runs them.
        reads: Accesses the sessions that are there.
        told: Is told what came of each key; None: the caller asks made().
        wanted: Whether anybody still waits for a key. Nothing more is done for a key that nobody waits for.
            None: somebody does.
    """

    def __init__(
        self,
        drafts: Sequence[Draft],
        statements: Statements,
        fetching: Fetching,
        reads: Reads,
        told: Told | None = None,
        wanted: Callable[[Key], bool] | None = None,
    ) -> None:
        self._told = told
        self._wanted = wanted
        self._drafts = drafts
        self._statements = statements
        self._fetching = fetching
        self._reads = reads
        self._rounds = Rounds(reads.held)
        self._pending: dict[Key, Draft] = {}
        for draft in drafts:
            self._pending.setdefault(draft.key, draft)
        self._made: dict[Key, Creation] = {}
        # With which versions sessions were to start whose answers were lost; one that lands starts with its own.
        self._lost: dict[Key, list[int]] = {}

    async def run(self) -> None:
        """Creates the sessions, and tells what came of each key."""
        await until_told(self._attempt)

    async def made(self) -> Sequence[Creation]:
        """What came of each draft; of those with one key, only the first can have made the session."""
        await self.run()
        creations: list[Creation] = []
        for draft in self._drafts:
            creations.append(self._made[draft.key])
            self._made[draft.key] = Creation(self._made[draft.key].document, created=False)
        return creations

    async def _attempt(self) -> None:
        # One round does, unless another's session came or went in the middle of it, or somebody holds an expired row.
        while self._want():
            try:
                rows = await self._insert(self._pending.values())
            except UpdateOutcomeUnknownError:
                self._start_anew()
                raise
            except StorageError as error:
                # Where the answer to an earlier attempt was lost, nobody may begin anew.
                error.refused = error.refused and not self._lost
                if self._told is None and error.code == _LOCK_NOT_AVAILABLE:
                    await self._rounds.pause(self._pending)  # for another INSERT of the same key, not committed yet
                else:
                    await self._rounds.refused(error)
                continue
            # Where the INSERT waited for another one, times are from before: the session may have expired before it
            # was there, or it is to live longer.
            created = [row for row in rows if row[CREATED] and not over(row)]
            made = {key_of(row): document_of(row) for row in created}
            if late := [row for row in created if row[DUE]]:
                made |= await self._access(late, {})
            self._settle({key: Creation(document, created=True) for key, document in made.items()})
            found = [row for row in rows if not row[CREATED]]
            drafts = {key: draft for key, draft in self._pending.items() if key not in set(map(key_of, found))}
            documents = await self._access(found, drafts)
            self._settle({key: Creation(it, self._is_ours(key, it)) for key, it in documents.items()})
            if self._pending:
                nothing = not self._lost and (self._told is not None or not self._made)
                await self._rounds.again(self._pending, unwritten=nothing)

    async def _insert(self, pending: Iterable[Draft]) -> Sequence[Row]:
        """Writes drafts where no live session is: rows of the sessions that it made, and of those that it found."""
        fields = map(draft_fields, pending)
        return await self._fetching.batch(self._statements.create, fields, writing=True, divisible=self._told is None)

    async def _access(self, rows: Sequence[Row], unread: Mapping[Key, Draft]) -> Mapping[Key, Document]:
        """Accesses the sessions of rows just read, and of drafts; but not those of other owners than their drafts'."""
        asked = {(draft.key, draft.owner_id) for draft in self._drafts}
        rows = [*rows, *await self._reads.read(unread)]
        others = {key_of(row) for row in rows if not may_access(row, asked)}
        found = {key: document_of(row) for row in rows if (key := key_of(row)) in others}
        return found | await self._reads.access([row for row in rows if key_of(row) not in others])

    def _start_anew(self) -> None:
        for key, draft in self._pending.items():
            self._lost.setdefault(key, []).append(draft.version)
            self._pending[key] = replace(draft, version=first_version())

    def _is_ours(self, key: Key, document: Document) -> bool:
        return any(started_at(document.summary.version, first) for first in self._lost.get(key, ()))

    def _settle(self, made: Mapping[Key, Creation]) -> None:
        self._made |= made
        for key, creation in made.items():
            self._pending.pop(key, None)
            if self._told is not None:
                self._told(key, creation)

    def _want(self) -> bool:
        """Drops the keys that nobody waits for any more; whether any key is left."""
        if self._wanted is not None:
            self._pending = {key: draft for key, draft in self._pending.items() if self._wanted(key)}
        return bool(self._pending)
