"""Lets the sessions of a replay expire and reaps them, without touching other sessions of the database.

The demo must not move the clock forward: in a shared database, a reaper with such a clock would delete live sessions of
other programs. So the demo dates its own sessions back to the year 2000, and the reaper's grace keeps all rows that
expired later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ..reaper import Reaper
from ..storage import Draft, Key, Place, StorageProvider
from .service import TTL

LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)

_PAGE: Final = 500


class DemoClock:
    """A ``clock`` for a provider. It gives the current time, and inside at() a fixed moment."""

    def __init__(self) -> None:
        self._told: datetime | None = None

    def __call__(self) -> datetime:
        return self._told or datetime.now(UTC)

    @contextmanager
    def at(self, moment: datetime) -> Generator[None]:
        """Stops the clock at a moment for the length of the block."""
        self._told = moment
        try:
            yield
        finally:
            self._told = None


@dataclass(frozen=True, slots=True)
class Expiry:
    """The outcome of the expiry.

    Attributes:
        sessions: The number of sessions in all namespaces.
        found: How many expired sessions a get still found.
        reaped: Sessions that the reaper deleted, with their items.
        left: Sessions whose rows are still there.
    """

    sessions: int
    found: int
    reaped: int
    left: int

    @property
    def ok(self) -> bool:
        """Whether no expired session was found, and none is left."""
        return not self.found and not self.left


async def expire(storage: StorageProvider, clock: DemoClock, namespaces: Sequence[str]) -> Expiry:
    """Dates sessions back so that they are expired, tries to get them, and reaps them.

    Args:
        storage: Where the sessions are. Its clock is ``clock``.
        clock: See DemoClock.
        namespaces: The namespaces of the sessions.

    Raises:
        StorageError: The storage failed.
    """
    keys: list[Key] = []
    with clock.at(LONG_AGO):
        for namespace in namespaces:
            async for page in _pages(storage, namespace):
                await _date_back(storage, page)
                keys += page
    found = [document for key in keys if (document := await storage.get(key)) is not None]
    day = timedelta(days=1)
    report = await Reaper(storage, grace=clock() - LONG_AGO - day).run_once()
    left = [stats for namespace in namespaces for stats in await storage.stats(namespace)]
    return Expiry(len(keys), len(found), report.deleted, sum(stats.live + stats.expired for stats in left))


async def _pages(storage: StorageProvider, namespace: str) -> AsyncIterator[Sequence[Key]]:
    after: Key | Place | None = None
    while True:
        page = await storage.list(namespace, limit=_PAGE, after=after)
        yield [session.key for session in page.sessions]
        if (after := page.next) is None:
            return


async def _date_back(storage: StorageProvider, keys: Sequence[Key]) -> None:
    """Writes the present state of each session again. Unlike an access, set() also moves the expiry back."""
    documents = await storage.get_many(keys, touch=False)
    await storage.set_many(
        [Draft(key, document.state, ttl=TTL) for key, document in zip(keys, documents, strict=True) if document]
    )
