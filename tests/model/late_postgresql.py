"""PostgreSQL, where writes land late whose answers were lost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sessionstore import SqlStorageProvider, UpdateOutcomeUnknownError
from sessionstore.storage import Document, Key, Summary, Write
from sessionstore.testing.conformance.model.under_way import UnderWay


class LatePostgreSQL(SqlStorageProvider):
    """Makes each late write some time after its answer was lost, in a statement of its own.

    Attributes:
        under_way: Where late writes are until they land.
    """

    under_way: UnderWay

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        await self.under_way.land_perhaps()
        found = await super().get_many(keys, **options)
        await self.under_way.land_perhaps()
        return found

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        if self.under_way.take(partial(super().update_many, writes)):
            raise UpdateOutcomeUnknownError("lost")
        await self.under_way.land_perhaps()
        return await super().update_many(writes)
