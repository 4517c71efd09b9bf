"""Watched: a storage that counts updates, batches and conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ..storage import StorageProvider, Summary, Write


class Watched:
    """Passes each call to another storage, and counts updates.

    Attributes:
        updates: Updates that landed.
        statements: Batches that carried the updates.
        conflicts: Writes that the storage refused because the session had changed since it was read. The update loop
            then applies the update again.
    """

    def __init__(self, storage: StorageProvider) -> None:
        self.updates = self.statements = self.conflicts = 0
        self._storage = storage

    def as_storage(self) -> StorageProvider:
        """Returns this object, with the type that a manager takes."""
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
