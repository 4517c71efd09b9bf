"""Sessions that are deleted, each of them once, also where answers are lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from ....concurrency.retry_window import until_told
from ....errors import UpdateOutcomeUnknownError
from ... import Key
from ...journal import new_receipt
from ..drivers.driver import Row
from ..statements.deleting import HELD, LIVE, SWALLOWED
from ..statements.rows import key_of
from .answers import not_kept
from .rounds import Rounds

Delete: TypeAlias = Callable[[Mapping[Key, str]], Awaitable[Sequence[Row]]]
"""Deletes sessions and leaves a receipt for each that was live: rows of their keys, and what became of them."""

Receipts: TypeAlias = Callable[[Collection[str]], Awaitable[Sequence[Row]]]
"""Rows of those of these receipts that are there."""


class Deletions:
    """The deletions of one call."""

    def __init__(self, keys: Sequence[Key], delete: Delete, receipts: Receipts, rounds: Rounds) -> None:
        self._keys = keys
        self._delete = delete
        self._receipts = receipts
        self._rounds = rounds
        self._pending = {key: new_receipt() for key in keys}
        self._live: dict[Key, bool] = {}
        self._lost = False

    async def made(self) -> Sequence[bool]:
        """Whether each deleted a live session; of those with one key, only the first can have."""
        await until_told(self._attempt)
        return [self._live.pop(key, False) for key in self._keys]

    async def _attempt(self) -> None:
        while self._pending:
            try:
                rows = await self._delete(self._pending)
            except UpdateOutcomeUnknownError:
                self._lost = True
                raise
            became = {key_of(row): row[2] for row in rows}
            if swallowed := [key for key, what in became.items() if what == SWALLOWED]:
                raise not_kept(swallowed, deleting=True)
            done = {key: receipt for key, receipt in self._pending.items() if became.get(key) != HELD}
            live = {key: became.get(key) == LIVE for key in done}
            # What is gone now may have been deleted by a call of ours whose answer was lost: it left a receipt.
            if self._lost and (gone := [key for key in done if not live[key]]):
                noted = {row[0] for row in await self._receipts([done[key] for key in gone])}
                live |= {key: done[key] in noted for key in gone}
            self._live |= live
            self._pending = {key: receipt for key, receipt in self._pending.items() if key not in done}
            if self._pending:
                await self._rounds.pause(self._pending, unwritten=not (self._lost or self._live))
