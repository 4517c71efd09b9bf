"""Ways in which a provider can be wrong, each as a class that stands before a provider that is right.

tests/testing/test_providers.py copies this module beside the provider of docs/providers.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sessionstore.storage import (
    Append,
    Creation,
    Document,
    Draft,
    Key,
    NewItem,
    Owners,
    Summary,
    Versions,
    Window,
    Write,
)
from sessionstore.storage.transacted import Sessions, TransactedStorageProvider


class LosesUpdates(TransactedStorageProvider):
    """Writes a state whatever the version is by now."""

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        found = await self.get_many([write.read.key for write in writes], touch=False)
        now = [
            write if it is None else replace(write, read=it.summary) for write, it in zip(writes, found, strict=True)
        ]
        return await super().update_many(now)


class ReadsTheExpired(TransactedStorageProvider):
    """Reads sessions that have expired and are not yet deleted."""

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        def rows(sessions: Sessions) -> Sequence[Document | None]:
            return [sessions.get(key) for key in keys]

        found = await super().get_many(keys, **options)
        return [live or row for live, row in zip(found, await self.transact(rows, keys), strict=True)]


class TurnsItemsRound(TransactedStorageProvider):
    """Reads the newest item first."""

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        found = await super().get_many(keys, **options)
        return [it and it._replace(items=it.items[::-1]) for it in found]


class ForgetsKeys(TransactedStorageProvider):
    """Keeps no idempotency key."""

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        return await super().update_many([replace(write, keys=None) for write in writes])


class LeavesItems(TransactedStorageProvider):
    """Deletes a session and not its items, which a later session of the key then has."""

    _left: dict[Key, Sequence[NewItem]] = {}  # noqa: RUF012  # only one storage is used at a time

    async def delete_many(
        self, keys: Sequence[Key], *, owners: Owners = None, versions: Versions = None
    ) -> Sequence[bool]:
        for found in await self.get_many(keys, touch=False, window=Window()):
            if found is not None and found.items:
                self._left[found.summary.key] = [NewItem(item.text) for item in found.items]
        return await super().delete_many(keys, owners=owners, versions=versions)

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        return await super().create_many(
            [replace(draft, items=[*self._left.pop(draft.key, ()), *draft.items]) for draft in drafts]
        )


class AppendsTwice(TransactedStorageProvider):
    """Looks at no id of an item."""

    async def append_many(self, appends: Sequence[Append]) -> Sequence[Summary | None]:
        nameless = [replace(it, items=[item._replace(id=None) for item in it.items]) for it in appends]
        return await super().append_many(nameless)


WRONG = {
    LosesUpdates: "TestUpdateConcurrently",
    ReadsTheExpired: "TestExpiry",
    TurnsItemsRound: "TestItemReads",
    ForgetsKeys: "TestIdempotency",
    LeavesItems: "TestItemWrites",
    AppendsTwice: "TestItemAppends",
}
"""The faults, and the topic of the suite that has to notice each."""
