"""Lets the sessions of a replay expire, and reaps them, without harm to any other session in the database.

Moving the clock forward would do in a database of the demo's own. In one that others use, a reaper with such
a clock would delete their live sessions. So the demo's sessions are dated back instead, to a year from which
nobody else has any, and the reaper is given a grace that reaches back to just after it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ..reaper import Reaper
from ..storage import Draft, Key, StorageProvider
from .service import TTL

LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)

_PAGE: Final = 500


class DemoClock:
    """The time of day, except where it is told to be another; to be given to a provider as its ``clock``."""

    def __init__(self) -> None:
        self._told: datetime | None = None

    def __call__(self) -> datetime:
        return self._told or datetime.now(UTC)

    @contextmanager
    def at(self, moment: datetime) -> Generator[None]:
        """Stands still at this moment for the length of the block."""
        self._told = moment
        try:
            yield
        finally:
            self._told = None


@dataclass(frozen=True, slots=True)
class Expiry:
    """How the sessions ended.

    Attributes:
        sessions: How many there were, of all namespaces.
        found: How many of them were still found once they had expired.
        reaped: Rows that the reaper deleted.
        left: Rows of theirs that are still there.
    """

    sessions: int
    found: int
    reaped: int
    left: int

    @property
    def ok(self) -> bool:
        """Whether no session outlived its end, and no row the reaper."""
        return not self.found and not self.left


async def expire(storage: StorageProvider, clock: DemoClock, namespaces: Sequence[str]) -> Expiry:
    """Dates the sessions back so that they are expired, looks for them, and reaps them.

    Args:
        storage: Where they are; its clock is ``clock``.
        clock: See DemoClock.
        namespaces: Which sessions.

    Raises:
        StorageError: The storage failed.
    """
    keys: list[Key] = []
    with clock.at(LONG_AGO):
        for namespace in namespaces:
            async for page in _pages(storage, namespace):
                await _use(storage, page)
                keys += page
    found = [document for key in keys if (document := await storage.get(key)) is not None]
    day = timedelta(days=1)
    report = await Reaper(storage, grace=clock() - LONG_AGO - day).run_once()
    left = [stats for namespace in namespaces for stats in await storage.stats(namespace)]
    return Expiry(len(keys), len(found), report.deleted, sum(stats.live + stats.expired for stats in left))


async def _pages(storage: StorageProvider, namespace: str) -> AsyncIterator[Sequence[Key]]:
    after: Key | None = None
    while True:
        page = await storage.list(namespace, limit=_PAGE, after=after)
        yield [session.key for session in page.sessions]
        if (after := page.next) is None:
            return


async def _use(storage: StorageProvider, keys: Sequence[Key]) -> None:
    """Sets each session to the state that it has: a use that also moves its expiry back, as no access does."""
    documents = await storage.get_many(keys, touch=False)
    await storage.set_many(
        [Draft(key, document.state, ttl=TTL) for key, document in zip(keys, documents, strict=True) if document]
    )
