"""Deletions of sessions. Each request deletes at most one session, even if the answer of an attempt is lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ....errors import UpdateOutcomeUnknownError
from ... import Key, Owners, Versions
from ...journal import new_receipt
from ..drivers.driver import Row
from ..statements.compiled import Statements
from ..statements.deleting import HELD, LIVE, SWALLOWED, USED_UP
from ..statements.fields import deletion_fields
from ..statements.rows import key_of
from .answers import not_kept
from .attempts import Attempts, Told, Wanted
from .fetching import Fetching
from .reads import Reads
from .receipts import use_up


class Deletion(NamedTuple):
    """The conditions of a deletion.

    Attributes:
        owner_id: Only a session of this owner; None: of any.
        version: Only a session at this version; None: at any.
    """

    owner_id: str | None = None
    version: int | None = None


class Deletions(Attempts[str, bool]):
    """The deletions of one call, or of several concurrent calls. See Attempts for the other arguments.

    Args:
        keys: The keys to delete, in the order of the answers. A receipt is sent for each.
        wishes: The conditions of each deletion.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        wishes: Mapping[Key, Deletion],
        statements: Statements,
        fetching: Fetching,
        reads: Reads,
        told: Told[bool] | None = None,
        wanted: Wanted | None = None,
    ) -> None:
        super().__init__({key: new_receipt() for key in keys}, statements, fetching, reads, told, wanted)
        self._keys = keys
        self._wishes = wishes
        self._lost: dict[Key, str] = {}

    async def made(self) -> Sequence[bool]:
        """Deletes the sessions, and returns whether each was live. If a key comes twice, its second answer is False."""
        await self.run()
        return [self._results.pop(key, False) for key in self._keys]

    async def _attempt(self) -> None:
        if self._lost:
            await self._look_up_lost()
        while sending := await self._next():
            try:
                rows = await self._delete(sending)
            except UpdateOutcomeUnknownError:
                self._lost = dict(sending)
                raise
            outcomes = {key_of(row): row[2] for row in rows}
            done = [key for key in sending if outcomes.get(key) not in (HELD, SWALLOWED)]
            self._settle({key: outcomes.get(key) == LIVE for key in done})
            if swallowed := [key for key, outcome in outcomes.items() if outcome == SWALLOWED]:
                raise not_kept(swallowed, deleting=True)
            if self._pending:
                self._free = await self._rounds.until_free(self._pending, unwritten=self._unwritten)

    async def _look_up_lost(self) -> None:
        """Looks up the deletions whose answers were lost. Deletions that did not land become pending again.

        A lost deletion must not land after the look-up, because it could then delete a newer session of the same key.
        """
        noted = {row[0] for row in await self._receipts(list(self._lost.values()))}
        landed = {key for key, receipt in self._lost.items() if receipt in noted and receipt + USED_UP not in noted}
        self._pending |= {key: new_receipt() for key in self._lost}
        self._lost = {}
        self._settle(dict.fromkeys(landed, True))

    async def _delete(self, receipts: Mapping[Key, str]) -> Sequence[Row]:
        """Deletes sessions, and inserts the receipt of each live one. Returns rows of a key and its outcome."""
        fields = (deletion_fields(key, receipt, *self._wishes[key]) for key, receipt in receipts.items())
        return await self._fetching.batch(self._statements.delete, fields, writing=True, divisible=self._one_call)

    async def _receipts(self, receipts: Collection[str]) -> Sequence[Row]:
        """Uses up receipts, so that the deletions that would insert them cannot land any more.

        Returns:
            Rows of the receipts. A receipt that this storage used up has a second row, with the suffix USED_UP.
        """
        await use_up(receipts, self._statements, self._fetching)
        asked = [{"receipt": receipt + suffix} for suffix in ("", USED_UP) for receipt in receipts]
        return await self._fetching.batch(self._statements.receipts, asked, writing=False, keyed=False)


def deletions_of(keys: Sequence[Key], owners: Owners, versions: Versions) -> Sequence[Deletion]:
    """Returns the conditions of the deletion of each key."""
    anybody: list[None] = [None] * len(keys)
    return list(map(Deletion, owners or anybody, versions or anybody))
