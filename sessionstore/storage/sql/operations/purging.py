"""Deletions of many rows: the sessions of a scope, expired sessions, and old receipts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from ....ids import check_filters
from ... import Purge, check_limit
from ...lifetime import LONGEST_GRACE
from ..connections.gateway import Gateway
from ..statements.scope import Scope
from ..tables import FIRST_INSTANT, micros
from .answers import not_kept
from .fetching import Fetching
from .rounds import Held, Rounds

_CLEAR_BATCH: Final = 5000
_RECEIPTS: Final = timedelta(hours=1)
"""How long the receipt of a deletion is kept, for a caller that did not get the answer."""


class Purging:
    """Deletes many rows of one storage, one batch at a time.

    Args:
        gateway: Runs operations on the database's connections.
        fetching: Runs the statements.
        held: Returns the keys of the rows that other transactions hold.
    """

    def __init__(self, gateway: Gateway, fetching: Fetching, held: Held) -> None:
        self._gateway = gateway
        self._statements = gateway.statements
        self._fetching = fetching
        self._held = held

    async def clear(self, scope: Scope) -> int:
        """Deletes all sessions in a scope, and returns the number of live sessions that were deleted."""
        check_filters(namespace=scope.namespace, prefix=scope.prefix, owner_id=scope.owner_id)
        batch = self._statements.clear(scope.conditions)
        params = scope.params() | {"limit": _CLEAR_BATCH}
        total = 0
        rounds = Rounds(self._held)
        while True:
            counts = await self._fetching.rows(batch, params, writing=True)
            total += sum(int(row[1]) for row in counts)
            if any(row[0] for row in counts):
                rounds = Rounds(self._held)
            elif any(row[2] for row in counts):
                raise not_kept((), deleting=True)
            elif not any(row[3] for row in counts):
                return total
            else:
                # Other transactions hold the remaining rows.
                await rounds.pause(())

    async def purge(self, limit: int, grace: timedelta, since: datetime | None) -> Purge:
        """Deletes one batch of expired rows. The first batch of a run also deletes old receipts."""
        check_limit(limit)
        if since is None:
            await self._forget_receipts(limit)
        params = {"limit": limit, "grace": micros(min(grace, LONGEST_GRACE)), "since": since or FIRST_INSTANT}
        rows = [
            row
            for row in await self._fetching.rows(self._statements.purge, params, writing=True, use="reaper")
            if row[0]
        ]
        last = max((row[1] for row in rows), default=None)
        return Purge(sum(int(row[0]) for row in rows), last, sum(int(row[2]) for row in rows))

    async def count(self, grace: timedelta, since: datetime | None) -> int:
        """Counts the rows that a purge would delete."""
        params = {"grace": micros(min(grace, LONGEST_GRACE)), "since": since or FIRST_INSTANT}
        ((count,),) = await self._fetching.rows(self._statements.count_expired, params, writing=False, use="reaper")
        return int(count)

    async def _forget_receipts(self, limit: int) -> None:
        statement = self._statements.forget_receipts
        while statement is not None:
            forgotten = await self._fetching.rows(
                statement, {"limit": limit, "grace": micros(_RECEIPTS)}, writing=True, use="reaper"
            )
            if len(forgotten) < limit:
                return
