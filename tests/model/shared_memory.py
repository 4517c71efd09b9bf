"""Providers on the same memory, as processes are on one database."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from sessionstore import MemoryStorageProvider, StorageError
from sessionstore.combine import Batching
from sessionstore.storage import Apply, Creation, Document, Draft, Key, Summary, Write

POISON = "poison"
"""No state with this in it is written."""


class SharedMemory(MemoryStorageProvider):
    """Lets others have their turn before and after each call, and refuses some states, as a database does.

    Args:
        batching: How calls go together.
        turns: How many turns others have.
        beside: Whose sessions these are too.
    """

    def __init__(self, batching: Batching | None, turns: random.Random, beside: SharedMemory | None = None) -> None:
        super().__init__()
        self.batching = batching
        self._turns = turns
        if beside is not None:
            self._documents = beside._documents

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        await self._pause()
        created = await super().create_many(drafts)
        await self._pause()
        return created

    async def get_many(self, keys: Sequence[Key], *, touch: bool = True) -> Sequence[Document | None]:
        await self._pause()
        found = await super().get_many(keys, touch=touch)
        await self._pause()
        return found

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        await self._pause()
        if any(POISON in write.state for write in writes):
            await self._pause()
            raise StorageError("refused")
        written = await super().update_many(writes)
        await self._pause()
        return written

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        def checked(document: Document) -> Write | None:
            write = apply(document)
            if write is not None and POISON in write.state:
                raise StorageError("refused")
            return write

        await self._pause()
        written = await super().update_locked_many(keys, checked)
        await self._pause()
        return written

    async def delete_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        await self._pause()
        deleted = await super().delete_many(keys)
        await self._pause()
        return deleted

    async def _pause(self) -> None:
        for _ in range(self._turns.randrange(4)):
            await asyncio.sleep(0)
