"""Creates several sessions, or single ones. Concurrent calls for single sessions share statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final

from ....batching import Batching
from ... import Creation, Draft, Key
from ..statements.compiled import Statements
from .attempts import Told, Wanted
from .changes import Changes
from .creations import Creations
from .fetching import Fetching
from .reads import Reads
from .together import Together, found_again, length_of

MIN_PARALLEL: Final = 4
"""The smallest batch of creations or deletions that runs beside another one, while that one waits for the disk."""


class Creating:
    """Creates sessions.

    Args:
        statements: The statements of the storage.
        fetching: Runs the statements.
        reads: Reads sessions, and finds the rows that other transactions hold.
        changes: Creates sessions with items.
        batching: The limits of batches.
    """

    def __init__(
        self, statements: Statements, fetching: Fetching, reads: Reads, changes: Changes, *, batching: Batching
    ) -> None:
        self._statements = statements
        self._fetching = fetching
        self._reads = reads
        self._changes = changes
        self._together = Together(
            self._create_together,
            attrgetter("owner_id"),
            found_again,
            length_of,
            batching=batching,
            min_parallel=MIN_PARALLEL,
        )

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        """Implements StorageProvider.create_many()."""
        return await self._creations(drafts).made()

    async def create(self, draft: Draft) -> Creation:
        """Implements StorageProvider.create()."""
        return await self._together.call(draft.key, draft)

    def _creations(
        self, drafts: Sequence[Draft], told: Told[Creation] | None = None, wanted: Wanted | None = None
    ) -> Creations:
        return Creations(drafts, self._statements, self._fetching, self._reads, self._changes, told, wanted)

    async def _create_together(self, drafts: Mapping[Key, Draft], told: Told[Creation], wanted: Wanted) -> None:
        await self._creations(list(drafts.values()), told, wanted).run()
