"""Drafts that become sessions, each of them once, also where answers are lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from ....concurrency.retry_window import until_told
from ....errors import StorageError, UpdateOutcomeUnknownError
from ....ids import first_version, started_at
from ... import Creation, Document, Draft, Key
from ..drivers.driver import Row
from ..statements.rows import CREATED, DUE, document_of, key_of, over
from .rounds import Rounds

Insert: TypeAlias = Callable[[Iterable[Draft]], Awaitable[Sequence[Row]]]
"""Writes drafts where no live session is: rows of those that it made, and of the sessions that it found instead."""

Access: TypeAlias = Callable[[Sequence[Row], Mapping[Key, Draft]], Awaitable[Mapping[Key, Document]]]
"""Accesses the sessions of rows just read, and of drafts; but not those of other owners than their drafts'."""


class Creations:
    """The creations of one call."""

    def __init__(self, drafts: Sequence[Draft], insert: Insert, access: Access, rounds: Rounds) -> None:
        self._drafts = drafts
        self._insert = insert
        self._access = access
        self._rounds = rounds
        self._pending: dict[Key, Draft] = {}
        for draft in drafts:
            self._pending.setdefault(draft.key, draft)
        self._made: dict[Key, Creation] = {}
        # With which versions sessions were to start whose answers were lost; one that lands starts with its own.
        self._lost: dict[Key, list[int]] = {}

    async def made(self) -> Sequence[Creation]:
        """What came of each draft; of those with one key, only the first can have made the session."""
        await until_told(self._attempt)
        creations: list[Creation] = []
        for draft in self._drafts:
            creations.append(self._made[draft.key])
            self._made[draft.key] = Creation(self._made[draft.key].document, created=False)
        return creations

    async def _attempt(self) -> None:
        # One round does, unless another's session came or went in the middle of it, or somebody holds an expired row.
        while self._pending:
            try:
                rows = await self._insert(self._pending.values())
            except UpdateOutcomeUnknownError:
                self._start_anew()
                raise
            except StorageError as error:
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
                await self._rounds.again(self._pending, unwritten=not (self._lost or self._made))

    def _start_anew(self) -> None:
        for key, draft in self._pending.items():
            self._lost.setdefault(key, []).append(draft.version)
            self._pending[key] = replace(draft, version=first_version())

    def _is_ours(self, key: Key, document: Document) -> bool:
        return any(started_at(document.summary.version, first) for first in self._lost.get(key, ()))

    def _settle(self, made: Mapping[Key, Creation]) -> None:
        self._made |= made
        for key in made:
            self._pending.pop(key, None)
