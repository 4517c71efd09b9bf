"""Sets several sessions, or single ones. Concurrent calls for single sessions share statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from ....batching import Batching
from ... import Draft, Key, Summary
from ..statements.compiled import Statements
from .attempts import Told, Wanted
from .creating import MIN_PARALLEL
from .fetching import Fetching
from .reads import Reads
from .settings import Set, Settings
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
        return await self._settings([*map(Set, drafts)], renew=renew).made()

    async def set(self, draft: Draft, *, renew: bool) -> Summary:
        """Implements StorageProvider.set()."""
        return await self._together[renew].call(draft.key, Set(draft))

    def _combined(self, batching: Batching, *, renew: bool) -> Together[Set, Summary]:
        return Together(
            partial(self._set_together, renew=renew),
            self._same,
            _in_turn,
            lambda wish: length_of(wish.draft),
            batching=batching,
            min_parallel=MIN_PARALLEL,
            merged=_last_of,
        )

    def _same(self, wish: Set) -> object:
        draft = wish.draft
        if self._statements.one_writer:
            # SQLite's statement cannot raise the version by more than one. So each set is a write of its own.
            return draft.version
        return draft.ttl, draft.max_lifetime, draft.origin, draft.owner_id, draft.state_version

    def _settings(
        self, wishes: Sequence[Set], told: Told[Summary] | None = None, wanted: Wanted | None = None, *, renew: bool
    ) -> Settings:
        return Settings(wishes, self._statements, self._fetching, self._reads, told, wanted, renew=renew)

    async def _set_together(
        self, wishes: Mapping[Key, Set], told: Told[Summary], wanted: Wanted, *, renew: bool
    ) -> None:
        await self._settings(list(wishes.values()), told, wanted, renew=renew).run()


def _last_of(wishes: Sequence[Set]) -> Set:
    """Returns the write for several sets that differ only in their states: the last draft, for all these callers."""
    return Set(wishes[-1].draft, len(wishes))


def _in_turn(summary: Summary, count: int) -> Iterable[Summary]:
    """Returns the summaries of sets that one write served, each with its own version."""
    return [summary._replace(version=summary.version - later) for later in reversed(range(count))]
