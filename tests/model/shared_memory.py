"""Providers on the same memory, as processes are on one database."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

from sessionstore import MemoryStorageProvider, StorageError, StorageUnavailableError, UpdateOutcomeUnknownError
from sessionstore.batching import Batching
from sessionstore.concurrency.combine import Combiner
from sessionstore.concurrency.halves import by_key
from sessionstore.storage import (
    Append,
    Apply,
    Clock,
    Creation,
    Document,
    Draft,
    Edit,
    Edited,
    Key,
    Owners,
    Summary,
    Versions,
    Window,
    Write,
)
from sessionstore.testing.conformance.model.changes import POISON
from sessionstore.testing.conformance.model.under_way import Landing, UnderWay


class SharedMemory(MemoryStorageProvider):
    """Lets others have their turn before and after each call, as a database does; refuses some states, and can fail.

    Args:
        batching: How calls go together.
        turns: How many turns others have.
        under_way: Where late writes are until they land.
        clock: Gives the time.
        beside: Whose sessions these are too.

    Attributes:
        away: How many calls find the storage away.
        lost: How many calls lose the connection before they are answered.
    """

    def __init__(
        self,
        batching: Batching | None,
        turns: random.Random,
        under_way: UnderWay,
        clock: Clock,
        beside: SharedMemory | None = None,
    ) -> None:
        super().__init__(clock=clock)
        self.batching = batching
        self._under_way = under_way
        self.away = self.lost = 0
        self._turns = turns
        own = batching or Batching(size=1)
        self._gets = {
            touch: Combiner(
                by_key(partial(self.get_many, touch=touch)),
                size=own.size,
                concurrency=own.concurrency,
                min_parallel=2,
                alone=False,
            )
            for touch in (False, True)
        }
        if beside is not None:
            self._documents = beside._documents

    async def get(
        self, key: Key, *, touch: bool = True, owner_id: str | None = None, window: Window | None = None
    ) -> Document | None:
        if window is not None:
            return (await self.get_many([key], touch=touch, window=window))[0]
        return await self._gets[touch].call(key, None)

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        await self._arrive()
        await self._depart(partial(super().create_many, drafts))
        created = await super().create_many(drafts)
        await self._leave()
        return created

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        await self._arrive()
        found = await super().get_many(keys, **options)
        await self._leave()
        return found

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        await self._arrive()
        if any(POISON in write.state for write in writes):
            await self._pause()
            raise StorageError("refused")
        await self._depart(partial(super().update_many, writes))
        written = await super().update_many(writes)
        await self._leave()
        return written

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        writes: list[Write] = []

        def checked(document: Document) -> Write | None:
            write = apply(document)
            if write is not None and POISON in write.state:
                raise StorageError("refused")
            if write is None or not late:
                return write
            writes.append(write)
            return None

        await self._arrive()
        late = self._under_way.late
        written = await super().update_locked_many(keys, checked)
        if writes:  # the last that is sent is to commit them
            await self._depart(partial(super().update_many, writes))
        await self._leave()
        return written

    async def append_many(self, appends: Sequence[Append]) -> Sequence[Summary | None]:
        await self._arrive()
        await self._depart(partial(super().append_many, appends))
        appended = await super().append_many(appends)
        await self._leave()
        return appended

    async def edit_many(self, edits: Sequence[Edit]) -> Sequence[Edited | None]:
        await self._arrive()
        await self._depart(partial(super().edit_many, edits))
        edited = await super().edit_many(edits)
        await self._leave()
        return edited

    async def delete_many(
        self, keys: Sequence[Key], *, owners: Owners = None, versions: Versions = None
    ) -> Sequence[bool]:
        await self._arrive()
        await self._depart(partial(super().delete_many, keys, owners=owners, versions=versions))
        deleted = await super().delete_many(keys, owners=owners, versions=versions)
        await self._leave()
        return deleted

    async def _arrive(self) -> None:
        await self._pause()
        if self.away:
            self.away -= 1
            raise StorageUnavailableError("away")

    async def _depart(self, landing: Landing) -> None:
        """Loses the answer to a write that is late."""
        if self._under_way.take(landing):
            await self._pause()
            raise UpdateOutcomeUnknownError("lost")

    async def _leave(self) -> None:
        await self._pause()
        if self.lost:
            self.lost -= 1
            raise UpdateOutcomeUnknownError("lost")

    async def _pause(self) -> None:
        for _ in range(self._turns.randrange(4)):
            await asyncio.sleep(0)
        await self._under_way.land_perhaps()
