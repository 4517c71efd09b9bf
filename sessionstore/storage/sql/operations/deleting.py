"""Deletes several sessions, or single ones. Concurrent calls for single sessions share statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....batching import Batching
from ... import Key, Owners, Versions
from ..statements.compiled import Statements
from .attempts import Told, Wanted
from .creating import MIN_PARALLEL
from .deletions import Deletion, Deletions, deletions_of
from .fetching import Fetching
from .reads import Reads
from .together import Together, deleted_once


class Deleting:
    """Deletes sessions.

    Args:
        statements: The statements of the storage.
        fetching: Runs the statements.
        reads: Finds the rows that other transactions hold.
        batching: The limits of batches.
    """

    def __init__(self, statements: Statements, fetching: Fetching, reads: Reads, *, batching: Batching) -> None:
        self._statements = statements
        self._fetching = fetching
        self._reads = reads
        self._together = Together(
            self._delete_together,
            lambda wish: wish,
            deleted_once,
            lambda _: 0,
            batching=batching,
            min_parallel=MIN_PARALLEL,
        )

    async def delete_many(self, keys: Sequence[Key], owners: Owners, versions: Versions) -> Sequence[bool]:
        """Implements StorageProvider.delete_many()."""
        wishes = deletions_of(keys, owners, versions)
        if len(set(keys)) < len(keys) and len(set(wishes)) > 1:
            return [await self._together.call(key, wish) for key, wish in zip(keys, wishes, strict=True)]
        return await self._deletions(keys, dict(zip(keys, wishes, strict=True))).made()

    async def delete(self, key: Key, wish: Deletion) -> bool:
        """Implements StorageProvider.delete()."""
        return await self._together.call(key, wish)

    def _deletions(
        self,
        keys: Sequence[Key],
        wishes: Mapping[Key, Deletion],
        told: Told[bool] | None = None,
        wanted: Wanted | None = None,
    ) -> Deletions:
        return Deletions(keys, wishes, self._statements, self._fetching, self._reads, told, wanted)

    async def _delete_together(self, wishes: Mapping[Key, Deletion], told: Told[bool], wanted: Wanted) -> None:
        await self._deletions(list(wishes), wishes, told, wanted).run()
