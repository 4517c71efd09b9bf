"""Settings of several sessions, and of single ones, which go together if they come at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter

from ....batching import Batching
from ... import Draft, Key, Summary
from ..statements.compiled import Statements
from .attempts import Told, Wanted
from .creating import MIN_PARALLEL
from .fetching import Fetching
from .reads import Reads
from .settings import Settings
from .together import Together, length_of


class Setting:
    """Sets sessions.

    Args:
        statements: The statements of the storage.
        fetching: Runs the statements.
        reads: Reads sessions, and finds the rows that other transactions hold.
        batching: The limits of batches.
    """

    def __init__(self, statements: Statements, fetching: Fetching, reads: Reads, *, batching: Batching) -> None:
        self._statements = statements
        self._fetching = fetching
        self._reads = reads
        self._together = {renew: self._combined(batching, renew=renew) for renew in (False, True)}

    async def set_many(self, drafts: Sequence[Draft], *, renew: bool) -> Sequence[Summary]:
        """Implements StorageProvider.set_many()."""
        return await self._settings(drafts, renew=renew).made()

    async def set(self, draft: Draft, *, renew: bool) -> Summary:
        """Implements StorageProvider.set()."""
        return await self._together[renew].call(draft.key, draft)

    def _combined(self, batching: Batching, *, renew: bool) -> Together[Draft, Summary]:
        # Versions of drafts are random, so two callers never share a write: the draft that came last stays.
        return Together(
            partial(self._set_together, renew=renew),
            attrgetter("version"),
            lambda summary: summary,
            length_of,
            batching=batching,
            min_parallel=MIN_PARALLEL,
        )

    def _settings(
        self, drafts: Sequence[Draft], told: Told[Summary] | None = None, wanted: Wanted | None = None, *, renew: bool
    ) -> Settings:
        return Settings(drafts, self._statements, self._fetching, self._reads, told, wanted, renew=renew)

    async def _set_together(
        self, drafts: Mapping[Key, Draft], told: Told[Summary], wanted: Wanted, *, renew: bool
    ) -> None:
        await self._settings(list(drafts.values()), told, wanted, renew=renew).run()
