"""Sessions that are deleted, each of them once, also where answers are lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from ...errors import UpdateOutcomeUnknownError
from ...journal import new_receipt
from ...patience import until_told
from .. import Key
from .drivers import Row
from .rows import key_of

Delete: TypeAlias = Callable[[Mapping[Key, str]], Awaitable[Sequence[Row]]]
"""Deletes sessions and leaves a receipt for each that was live: rows of their keys, and whether they were."""

Receipts: TypeAlias = Callable[[Collection[str]], Awaitable[Sequence[Row]]]
"""Rows of those of these receipts that are there."""


class Deletions:
    """The deletions of one call."""

    def __init__(self, keys: Sequence[Key], delete: Delete, receipts: Receipts) -> None:
        self._keys = keys
        self._delete = delete
        self._receipts = receipts
        self._receipt = {key: new_receipt() for key in keys}
        self._live: dict[Key, bool] = {}
        self._lost = False

    async def made(self) -> Sequence[bool]:
        """Whether each deleted a live session; of those with one key, only the first can have."""
        await until_told(self._attempt)
        return [self._live.pop(key, False) for key in self._keys]

    async def _attempt(self) -> None:
        try:
            rows = await self._delete(self._receipt)
        except UpdateOutcomeUnknownError:
            self._lost = True
            raise
        self._live.update({key_of(row): bool(row[2]) for row in rows})
        # What is gone now may have been deleted by a call of ours whose answer was lost: it left a receipt.
        if self._lost and (gone := [key for key in self._receipt if not self._live.get(key)]):
            noted = {row[0] for row in await self._receipts([self._receipt[key] for key in gone])}
            self._live.update({key: self._receipt[key] in noted for key in gone})
