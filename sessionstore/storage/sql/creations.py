"""Drafts that become sessions, each of them once, also where answers are lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from ...errors import UpdateOutcomeUnknownError
from ...ids import first_version, started_at
from ...patience import until_told
from .. import Creation, Document, Draft, Key
from .drivers import Row
from .rows import CREATED, document_of, key_of

Insert: TypeAlias = Callable[[Iterable[Draft]], Awaitable[Sequence[Row]]]
"""Writes drafts where no live session is: rows of those that it made, and of the sessions that it found instead."""

Access: TypeAlias = Callable[[Sequence[Row], Collection[Key]], Awaitable[Mapping[Key, Document]]]
"""Accesses the sessions of rows just read, and of keys."""


class Creations:
    """The creations of one call."""

    def __init__(self, drafts: Sequence[Draft], insert: Insert, access: Access) -> None:
        self._drafts = drafts
        self._insert = insert
        self._access = access
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
        # One round does, unless another's session came or went in the middle of it.
        while self._pending:
            try:
                rows = await self._insert(self._pending.values())
            except UpdateOutcomeUnknownError:
                self._start_anew()
                raise
            self._settle({key_of(row): Creation(document_of(row), created=True) for row in rows if row[CREATED]})
            found = [row for row in rows if not row[CREATED]]
            documents = await self._access(found, self._pending.keys() - set(map(key_of, found)))
            self._settle({key: Creation(it, self._is_ours(key, it)) for key, it in documents.items()})

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
