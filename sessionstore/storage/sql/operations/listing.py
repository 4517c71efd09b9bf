"""Pages and counts of sessions, and searches for items."""

from __future__ import annotations

from collections.abc import Sequence

from ....ids import check_filters
from ... import Found, Key, LogNames, Order, Page, Place, Stats, StoredItem, Summary, check_limit
from ..connections.gateway import Gateway
from ..statements.fields import unique
from ..statements.item_reading import packed_ids
from ..statements.rows import FOUND_AT, LOG, STATE, STATE_VERSION, key_of, summary_of
from ..statements.scope import Scope
from .fetching import Fetching


class Listing:
    """Lists and counts the sessions of one storage."""

    def __init__(self, gateway: Gateway, fetching: Fetching) -> None:
        self._gateway = gateway
        self._fetching = fetching

    async def page(self, scope: Scope, limit: int, order: Order, *, states: bool) -> Page:
        """Reads one page of the live sessions in a scope."""
        check_limit(limit)
        check_filters(namespace=scope.namespace, prefix=scope.prefix, owner_id=scope.owner_id)
        page = self._gateway.statements.list(scope.conditions, scope.after, recent=order == "recent", states=states)
        # One row more than the limit tells whether there is a next page.
        rows = await self._fetching.rows(page, scope.params() | {"limit": limit + 1}, writing=False)
        sessions = [summary_of(row) for row in rows[:limit]]
        following = _place_of(sessions[-1], order) if len(rows) > limit else None
        if not states:
            return Page(sessions, following)
        texts = [row[STATE] for row in rows[:limit]]
        return Page(sessions, following, texts, [row[STATE_VERSION] for row in rows[:limit]])

    async def find(self, namespace: str, ids: Sequence[str], owner_id: str | None) -> Sequence[Found | None]:
        """Finds the item that has each id, in the live sessions of a namespace and an owner (None: of all)."""
        check_filters(namespace=namespace, owner_id=owner_id)
        if not ids:
            return []
        statements = self._gateway.statements
        find = statements.find if owner_id is None else statements.find_owned
        params = {"namespace": namespace, "ids": packed_ids(ids), "owner_id": owner_id}
        rows = await self._fetching.rows(find, params, writing=False)
        found = {row[FOUND_AT]: Found(summary_of(row), StoredItem(*row[FOUND_AT + 1 :])) for row in rows}
        return [found.get(item_id) for item_id in ids]

    async def logs(self, keys: Sequence[Key]) -> dict[Key, LogNames]:
        """Names the logs of the live sessions among these."""
        rows = await self._fetching.batch(self._gateway.statements.logs, unique(keys), writing=False)
        found = {key_of(row): LogNames(summary_of(row), []) for row in rows}
        names: dict[Key, list[str]] = {key: [] for key in found}
        for row in rows:
            if row[LOG] is not None:
                names[key_of(row)].append(row[LOG])
        return {key: it._replace(names=sorted(names[key])) for key, it in found.items()}

    async def stats(self, scope: Scope) -> Sequence[Stats]:
        """Counts the sessions in a scope for each namespace."""
        check_filters(namespace=scope.namespace)
        counts = self._gateway.statements.stats(scope.conditions)
        return [Stats(*row) for row in await self._fetching.rows(counts, scope.params(), writing=False)]


def _place_of(summary: Summary, order: Order) -> Key | Place:
    return summary.key if order == "key" else Place(summary.updated_at, summary.key)
