"""Finds and rewrites states and items of other shape versions."""

from __future__ import annotations

from collections.abc import Sequence

from ....ids import check_filters
from ... import Document, Key, StoredItem, Write, check_limit
from ...reshaping import OutdatedItem, Rewrite
from ..statements.compiled import Statements
from ..statements.fields import key_fields, write_fields
from ..statements.rows import STATE, STATE_VERSION, key_of, summary_of
from .fetching import Fetching


class Reshaping:
    """Implements storage.reshaping.Reshaping.

    Args:
        statements: The statements of the storage.
        fetching: Runs the statements.
    """

    def __init__(self, statements: Statements, fetching: Fetching) -> None:
        self._statements = statements
        self._fetching = fetching

    async def outdated(self, namespace: str, version: int, limit: int, after: Key | None) -> Sequence[Document]:
        """Reads live sessions whose states are of another shape version."""
        check_limit(limit)
        check_filters(namespace=namespace)
        params = {
            "namespace": namespace,
            "version": version,
            "limit": limit,
            "after_session_id": "" if after is None else after.session_id,
        }
        rows = await self._fetching.rows(self._statements.outdated, params, writing=False)
        return [Document(row[STATE], summary_of(row), state_version=row[STATE_VERSION]) for row in rows]

    async def rewrite_many(self, writes: Sequence[Write]) -> Sequence[bool]:
        """Writes states, and leaves all times as they are."""
        rows = await self._fetching.batch(
            self._statements.rewrite, map(write_fields, writes), writing=True, divisible=False
        )
        landed = set(map(key_of, rows))
        return [write.read.key in landed for write in writes]

    async def outdated_items(
        self, namespace: str, version: int, limit: int, after: OutdatedItem | None
    ) -> Sequence[OutdatedItem]:
        """Reads items of live sessions that are of another shape version."""
        check_limit(limit)
        check_filters(namespace=namespace)
        params = {
            "namespace": namespace,
            "version": version,
            "limit": limit,
            "after_session_id": "" if after is None else after.key.session_id,
            "after_log": "" if after is None else after.log,
            "after_position": 0 if after is None else after.item.position,
        }
        rows = await self._fetching.rows(self._statements.outdated_items, params, writing=False)
        return [OutdatedItem(key_of(row), row[2], StoredItem(*row[3:])) for row in rows]

    async def rewrite_items(self, rewrites: Sequence[Rewrite]) -> Sequence[bool]:
        """Replaces the texts of items, unless an item has changed since it was read."""
        fields = [
            key_fields(it.found.key)
            | {
                "log": it.found.log,
                "position": it.found.item.position,
                "was": it.found.item.text,
                "found": it.found.item.version,
                "item": it.text,
                "item_version": it.version,
            }
            for it in rewrites
        ]
        rows = await self._fetching.batch(self._statements.rewrite_items, fields, writing=True)
        landed = {(key_of(row), row[2], row[3]) for row in rows}
        return [(it.found.key, it.found.log, it.found.item.position) in landed for it in rewrites]
