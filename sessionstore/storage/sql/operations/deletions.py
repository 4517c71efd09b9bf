"""Sessions that are deleted, each of them once, also where answers are lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from ....concurrency.retry_window import until_told
from ....errors import StorageError, UpdateOutcomeUnknownError
from ... import Key
from ...journal import new_receipt
from ..drivers.driver import Row
from ..statements.deleting import HELD, LIVE, SWALLOWED
from ..statements.rows import key_of
from .answers import not_kept
from .rounds import Rounds

Delete: TypeAlias = Callable[[Mapping[Key, str]], Awaitable[Sequence[Row]]]
"""Deletes sessions and leaves a receipt for each that was live: rows of their keys, and what became of them."""

Told: TypeAlias = Callable[[Key, bool], None]
"""Takes whether a live session was deleted, as soon as that is known."""

Receipts: TypeAlias = Callable[[Collection[str]], Awaitable[Sequence[Row]]]
"""Rows of those of these receipts that are there."""


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
        self._lost = False

    async def run(self) -> None:
        """Deletes the sessions, and tells what came of each key."""
        await until_told(self._attempt)

    async def made(self) -> Sequence[bool]:
        """Whether each deleted a live session; of those with one key, only the first can have."""
        await self.run()
        return [self._live.pop(key, False) for key in self._keys]

    async def _attempt(self) -> None:
        while self._want():
            try:
                rows = await self._delete(self._pending)
            except UpdateOutcomeUnknownError:
                self._lost = True
                raise
            except StorageError as error:
                # Where the answer to an earlier attempt was lost, nobody may begin anew, without its receipts.
                error.refused = error.refused and not self._lost
                raise
            became = {key_of(row): row[2] for row in rows}
            done = {key: it for key, it in self._pending.items() if became.get(key) not in (HELD, SWALLOWED)}
            live = {key: became.get(key) == LIVE for key in done}
            # What is gone now may have been deleted by a call of ours whose answer was lost: it left a receipt.
            if self._lost and (gone := [key for key in done if not live[key]]):
                noted = {row[0] for row in await self._receipts([done[key] for key in gone])}
                live |= {key: done[key] in noted for key in gone}
            self._settle(live)
            self._pending = {key: receipt for key, receipt in self._pending.items() if key not in done}
            if swallowed := [key for key, what in became.items() if what == SWALLOWED]:
                raise not_kept(swallowed, deleting=True)
            if self._pending:
                nothing = not self._lost and (self._told is not None or not self._live)
                await self._rounds.pause(self._pending, unwritten=nothing)

    def _settle(self, live: Mapping[Key, bool]) -> None:
        self._live |= live
        if self._told is not None:
            for key, was_live in live.items():
                self._told(key, was_live)

    def _want(self) -> bool:
        """Drops the keys that nobody waits for any more; whether any key is left."""
        if self._wanted is not None:
            self._pending = {key: receipt for key, receipt in self._pending.items() if self._wanted(key)}
        return bool(self._pending)
