"""Sessions that are deleted, each of them once, also where answers are lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ....concurrency.retry_window import until_told
from ....errors import UpdateOutcomeUnknownError
from ... import Key, Owners, Versions
from ...journal import new_receipt
from ..drivers.driver import Row
from ..statements.compiled import Statements
from ..statements.deleting import HELD, LIVE, SWALLOWED, USED_UP
from ..statements.rows import deletion_fields, key_of
from .answers import not_kept
from .fetching import Fetching
from .reads import Reads
from .rounds import Rounds

Told: TypeAlias = Callable[[Key, bool], None]
"""Takes whether a live session was deleted, as soon as that is known."""


class Deletion(NamedTuple):
    """What one caller wants to be deleted.

    Attributes:
        owner_id: Only a session of this owner; None: anybody's.
        version: Only a session at this version; None: at any.
    """

    owner_id: str | None = None
    version: int | None = None


class Deletions:
    """The deletions of one call, or of several calls that go together.

    Args:
        keys: What to delete, in the order of the answers.
        wishes: What each caller wants of a key.
        statements: The statements of the storage.
        fetching: Runs them.
        reads: Tells which rows are held.
        told: Is told what came of each key; None: the caller asks made().
        wanted: Whether anybody still waits for a key. Nothing more is done for a key that nobody waits for.
            None: somebody does.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        wishes: Mapping[Key, Deletion],
        statements: Statements,
        fetching: Fetching,
        reads: Reads,
        told: Told | None = None,
        wanted: Callable[[Key], bool] | None = None,
    ) -> None:
        self._told = told
        self._wanted = wanted
        self._keys = keys
        self._wishes = wishes
        self._statements = statements
        self._fetching = fetching
        self._rounds = Rounds(reads.held)
        self._pending = {key: new_receipt() for key in keys}
        self._live: dict[Key, bool] = {}
        self._lost: dict[Key, str] = {}

    async def run(self) -> None:
        """Deletes the sessions, and tells what came of each key."""
        await until_told(self._attempt)

    async def made(self) -> Sequence[bool]:
        """Whether each deleted a live session; of those with one key, only the first can have."""
        await self.run()
        return [self._live.pop(key, False) for key in self._keys]

    async def _attempt(self) -> None:
        if self._lost:
            await self._look_up_lost()
        while self._want():
            try:
                rows = await self._delete(self._pending)
            except UpdateOutcomeUnknownError:
                self._lost = dict(self._pending)
                raise
            became = {key_of(row): row[2] for row in rows}
            done = {key: it for key, it in self._pending.items() if became.get(key) not in (HELD, SWALLOWED)}
            self._settle({key: became.get(key) == LIVE for key in done})
            if swallowed := [key for key, what in became.items() if what == SWALLOWED]:
                raise not_kept(swallowed, deleting=True)
            if self._pending:
                await self._rounds.pause(self._pending, unwritten=self._told is not None or not self._live)

    async def _look_up_lost(self) -> None:
        """Finds out what became of deletions whose answers were lost; those that did not land are done again.

        A lost deletion must not land any more, because the session that it found then would be another one.
        """
        noted = {row[0] for row in await self._receipts(list(self._lost.values()))}
        landed = {key for key, receipt in self._lost.items() if receipt in noted and receipt + USED_UP not in noted}
        self._pending |= {key: new_receipt() for key in self._lost}
        self._lost = {}
        self._settle(dict.fromkeys(landed, True))

    async def _delete(self, receipts: Mapping[Key, str]) -> Sequence[Row]:
        """Deletes sessions and leaves a receipt for each live one: rows of their keys, and what became of them."""
        fields = (deletion_fields(key, receipt, *self._wishes[key]) for key, receipt in receipts.items())
        return await self._fetching.batch(self._statements.delete, fields, writing=True, divisible=self._told is None)

    async def _receipts(self, receipts: Collection[str]) -> Sequence[Row]:
        """Uses up receipts, so that no deletion that would leave one can land any more.

        Returns:
            Rows of the receipts that their deletions left, and of the marks of those that were used up.
        """
        used = [{"receipt": receipt} for receipt in receipts]
        await self._fetching.batch(self._statements.use_up_receipts, used, writing=True, keyed=False)
        asked = [*used, *({"receipt": receipt + USED_UP} for receipt in receipts)]
        return await self._fetching.batch(self._statements.receipts, asked, writing=False, keyed=False)

    def _settle(self, live: Mapping[Key, bool]) -> None:
        self._live |= live
        for key, was_live in live.items():
            self._pending.pop(key, None)
            if self._told is not None:
                self._told(key, was_live)

    def _want(self) -> bool:
        """Drops the keys that nobody waits for any more; whether any key is left."""
        if self._wanted is not None:
            self._pending = {key: receipt for key, receipt in self._pending.items() if self._wanted(key)}
        return bool(self._pending)


def deletions_of(keys: Sequence[Key], owners: Owners, versions: Versions) -> Sequence[Deletion]:
    """What is to be deleted under each key."""
    anybody: list[None] = [None] * len(keys)
    return list(map(Deletion, owners or anybody, versions or anybody))
