"""Pages and counts of sessions."""

from __future__ import annotations

from collections.abc import Sequence

from ....ids import check_filters
from ... import Page, Stats, check_limit
from ..connections.gateway import Gateway
from ..statements.rows import summary_of
from ..statements.scope import Scope
from .fetching import Fetching


class Listing:
    """Lists and counts the sessions of one storage."""

    def __init__(self, gateway: Gateway, fetching: Fetching) -> None:
        self._gateway = gateway
        self._fetching = fetching

    async def page(self, scope: Scope, limit: int) -> Page:
        """Reads one page of the live sessions in a scope, in key order."""
        check_limit(limit)
        check_filters(namespace=scope.namespace, prefix=scope.prefix, owner_id=scope.owner_id)
        page = self._gateway.statements.list(scope.conditions(self._gateway.table))
        # One row more than the limit tells whether there is a next page.
        rows = await self._fetching.rows(page, scope.params() | {"limit": limit + 1}, writing=False)
        sessions = [summary_of(row) for row in rows[:limit]]
        return Page(sessions, sessions[-1].key if len(rows) > limit else None)

    async def stats(self, scope: Scope) -> Sequence[Stats]:
        """Counts the sessions in a scope for each namespace."""
        check_filters(namespace=scope.namespace)
        counts = self._gateway.statements.stats(scope.conditions(self._gateway.table))
        return [Stats(*row) for row in await self._fetching.rows(counts, scope.params(), writing=False)]
