"""Sessions that are deleted, each of them once, also where answers are lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from ....concurrency.retry_window import until_told
from ....errors import UpdateOutcomeUnknownError
from ... import Key
from ...journal import new_receipt
from ..drivers.driver import Row
from ..statements.deleting import HELD, LIVE, SWALLOWED, USED_UP
from ..statements.rows import key_of
from .answers import not_kept
from .rounds import Rounds

Delete: TypeAlias = Callable[[Mapping[Key, str]], Awaitable[Sequence[Row]]]
"""Deletes sessions and leaves a receipt for each that was live: rows of their keys, and what became of them."""

Told: TypeAlias = Callable[[Key, bool], None]
"""Takes whether a live session was deleted, as soon as that is known."""

Receipts: TypeAlias = Callable[[Collection[str]], Awaitable[Sequence[Row]]]
"""Uses up receipts, so that no deletion that would leave one can land any more: rows of the receipts that their deletions
left, and of the marks of those that were used up."""


class Deletions:
    """The deletions of one call, or of several calls that go together.

    Args:
        keys: What to delete.
        delete: Deletes sessions.
        receipts: Looks for receipts.
        rounds: Pauses between attempts.
        told: Is told what came of each key; None: the caller asks made().
        wanted: Whether anybody still waits for a key. Nothing more is done for a key that nobody waits for.
            None: somebody does.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        delete: Delete,
        receipts: Receipts,
        rounds: Rounds,
        told: Told | None = None,
        wanted: Callable[[Key], bool] | None = None,
    ) -> None:
        self._told = told
        self._wanted = wanted
        self._keys = keys
        self._delete = delete
        self._receipts = receipts
        self._rounds = rounds
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
