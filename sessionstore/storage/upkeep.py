"""The upkeep of a storage provider: sessions are listed and counted, and the expired ones are deleted.

The package's docstring has the rules that hold for every method.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from .records import Key, Order, Page, Place, Purge, Stats


class Upkeep(Protocol):
    """Lists, counts and purges the sessions of a storage."""

    async def list(
        self,
        namespace: str | None = None,
        *,
        prefix: str = "",
        owner_id: str | None = None,
        limit: int = 100,
        after: Key | Place | None = None,
        order: Order = "key",
        states: bool = False,
    ) -> Page:
        """Lists live sessions, one page at a time.

        Args:
            namespace: Only sessions of this namespace; None: of all.
            prefix: Only sessions whose ids start with exactly this text.
            owner_id: Only sessions of this owner; None: of all.
            limit: The length of a page, at least 1.
            after: The ``next`` of the previous page. Pages continue after a key, not at an offset: a session that is
                created or deleted between two pages neither repeats nor hides another session.
            order: "key": by namespace and id, by code point. "recent": by the last change of state or items, latest
                first. A session that is changed between two pages may be missing from the later page.
            states: Whether the page includes the states.

        Raises:
            ConfigurationError: The limit is less than 1.
        """
        ...

    async def clear(self, namespace: str | None = None, *, prefix: str = "", owner_id: str | None = None) -> int:
        """Deletes the sessions of a namespace (None: of all) and an owner (None: of all) whose ids have the prefix.

        Returns the number of live sessions that were deleted. Runs in batches: a session that is created during the
        call may stay.
        """
        ...

    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        """Deletes up to ``limit`` rows that expired at least ``grace`` ago, in one short transaction.

        The items of the sessions go with them and count as rows: a batch deletes at most ``limit`` of both together,
        but at least one session.

        Deletes in the order of expiry, and skips rows that other transactions hold. So any number of callers can run
        at once. Never deletes a live session: a session that is renewed during the call stays.

        Args:
            limit: The largest number of sessions and items to delete, at least 1.
            grace: How long ago a row must have expired.
            since: Only rows that expired at this time or later: the ``last`` of the previous batch. None: all.

        Raises:
            ConfigurationError: The limit is less than 1.
        """
        ...

    async def count_expired(self, *, grace: timedelta = timedelta(0), since: datetime | None = None) -> int:
        """Counts the rows that expired at least ``grace`` ago, and at ``since`` or later (None: at any time)."""
        ...

    async def stats(self, namespace: str | None = None) -> Sequence[Stats]:
        """Counts the sessions of each namespace that has rows, in order of the names; None: of all namespaces."""
        ...

    async def purge_expired(self, *, limit: int = 5000, grace: timedelta = timedelta(0)) -> int:
        """Calls purge_batch() once, and returns the number of deleted rows."""
        return (await self.purge_batch(limit=limit, grace=grace)).deleted
