"""A storage that counts the updates that reach it, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ..storage import StorageProvider, Summary, Write


class Watched:
    """Passes everything on to a storage, and counts.

    Attributes:
        updates: Updates that landed.
        statements: Calls in which they came: updates that are made at once go together.
        conflicts: Writes that the storage refused, because somebody else had written since the state was read. Each
            of them makes the update run again.
    """

    def __init__(self, storage: StorageProvider) -> None:
        self.updates = self.statements = self.conflicts = 0
        self._storage = storage

    def as_storage(self) -> StorageProvider:
        """Itself, as what it is to a manager."""
        return cast("StorageProvider", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        written = await self._storage.update_many(writes)
        self.statements += 1
        self.updates += sum(write.count for write, summary in zip(writes, written, strict=True) if summary is not None)
        self.conflicts += sum(summary is None for summary in written)
        return written

    async def update(self, write: Write) -> Summary | None:
        return (await self.update_many([write]))[0]
