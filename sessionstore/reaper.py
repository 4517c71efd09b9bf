"""The reaper: deletes expired sessions in small batches, once or periodically beside a service."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from .arguments import check_flag, check_storage
from .codec.jsontext import named
from .concurrency.loops import running_loop
from .config import MAX_DURATION
from .errors import ConfigurationError, StorageError
from .storage import StorageProvider

logger = logging.getLogger(__name__)

DEFAULT_BATCH_SIZE: Final = 5000
DEFAULT_BATCH_TIME: Final = timedelta(milliseconds=5)

# The size of the first batch of a paced run, and the smallest size of its batches.
_FEWEST: Final = 50

_BUDGET: Final = (timedelta, type(None))


@dataclass(frozen=True, slots=True)
class ReapProgress:
    """The progress of a run: sessions deleted, batches done, and seconds since the run began."""

    deleted: int
    batches: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ReapReport:
    """The outcome of a run.

    Attributes:
        deleted: Sessions that were deleted; 0 in a dry run.
        batches: Batches, each of them one transaction.
        duration: How long the run took, by this process's monotonic clock.
        remaining: Expired sessions that are still there: the time was up, other transactions held them, or it was a dry
            run.
    """

    deleted: int
    batches: int
    duration: timedelta
    remaining: int


class Reaper:
    """Deletes sessions that have expired.

    Each batch is small and commits on its own. A batch skips rows that other transactions hold, so any number of
    reapers may run at once. A session that was renewed a moment before its batch stays.

    Args:
        storage: Where the sessions are; the caller closes it.
        batch_size: The rows of a batch, sessions and items together; with a pace, the most rows. Larger batches are
            faster in all, and hold locks longer. A batch deletes at least one session.
        grace: How long an expired row is kept before it is deleted, say for an inquiry. No call finds the session.
        pace: The pause after each batch, in durations of the batch. 1.0 leaves the database half of the time to other
            callers. 100.0 leaves them 99 %, so that their 99th percentile does not change. A pace also makes batches
            small, because a pause after a long batch does not help the calls that ran during it.
        batch_time: How long a batch should take, if there is a pace. After a longer batch, the next one has fewer rows.
            After a shorter batch, the next one has more rows, up to batch_size.

    Raises:
        ConfigurationError: A size, time, grace or pace is invalid.
    """

    def __init__(
        self,
        storage: StorageProvider,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        grace: timedelta = timedelta(0),
        pace: float = 0.0,
        batch_time: timedelta = DEFAULT_BATCH_TIME,
    ) -> None:
        check_storage(storage)
        _check_kinds({"batch_size": (batch_size, int), "pace": (pace, (int, float))})
        _check_kinds({"grace": (grace, timedelta), "batch_time": (batch_time, timedelta)})
        if batch_size < 1:
            raise ConfigurationError(f"batch_size must be at least 1, not {batch_size}")
        if not timedelta(0) <= grace <= MAX_DURATION:
            raise ConfigurationError(f"grace must be between 0 and {MAX_DURATION.days} days, not {grace}")
        if not 0 <= pace <= 1000:
            raise ConfigurationError(f"pace must be between 0 and 1000 batch durations, not {pace}")
        if not timedelta(0) < batch_time <= MAX_DURATION:
            raise ConfigurationError(
                f"batch_time must be positive and at most {MAX_DURATION.days} days, not {batch_time}"
            )
        self._storage = storage
        self._batch_size = batch_size
        self._grace = grace
        self._pace = pace
        self._batch_time = batch_time
        self._fewest = min(batch_size, _FEWEST) if pace else batch_size

    async def run_once(
        self,
        dry_run: bool = False,
        time_budget: timedelta | None = None,
        on_batch: Callable[[ReapProgress], None] | None = None,
    ) -> ReapReport:
        """Deletes all expired sessions, except sessions whose rows other transactions hold.

        Args:
            dry_run: Only count the expired rows.
            time_budget: Begin no further batch after this time. At least one batch is done.
            on_batch: Called after each batch. An exception from it ends the run; deleted rows stay deleted.

        Raises:
            StorageError: The storage failed; the rows of earlier batches stay deleted.
            ConfigurationError: The time budget is not positive.
        """
        check_flag(dry_run, "dry_run")
        _check_kinds({"time_budget": (time_budget, _BUDGET)})
        if time_budget is not None and time_budget <= timedelta(0):
            raise ConfigurationError(f"time_budget must be positive, not {time_budget}")
        began = time.monotonic()
        deleted = batches = left = 0
        since: datetime | None = None
        size = self._fewest
        looking = False  # the last batch had fewer sessions than rows allow: items filled it, or no session is left
        while not dry_run:
            batch_began = time.monotonic()
            purge = await self._storage.purge_batch(limit=size, grace=self._grace, since=since)
            now = time.monotonic()
            deleted += purge.deleted
            left += purge.left
            if purge.deleted or not looking:
                batches += 1
                if on_batch is not None:
                    on_batch(ReapProgress(deleted, batches, now - began))
            if time_budget is not None and now - began >= time_budget.total_seconds():
                break
            if purge.deleted:
                since, looking = purge.last, purge.deleted < size
            elif left and since is not None:
                # Other transactions held some rows. Try again from the start: they may be free now.
                since, left, looking = None, 0, False
            else:
                break
            size = self._next_size(size, now - batch_began)
            await asyncio.sleep((now - batch_began) * self._pace)
        # If no row was skipped, count only from the last batch on: a full count would scan the index once more.
        remaining = await self._storage.count_expired(grace=self._grace, since=None if left else since)
        report = ReapReport(deleted, batches, timedelta(seconds=time.monotonic() - began), remaining)
        logger.info(
            "reaped expired sessions",
            extra={"deleted": deleted, "batches": batches, "remaining": remaining, "dry_run": dry_run},
        )
        return report

    def _next_size(self, size: int, took: float) -> int:
        if not self._pace:
            return size
        wanted = self._batch_time.total_seconds()
        # A single batch may have met a checkpoint or a cold page, so it at most halves the size or adds a half.
        factor = 0.5 if took > 2 * wanted else min(1.5, wanted / took) if took > 0 else 1.5
        return max(self._fewest, min(self._batch_size, round(size * factor)))

    @asynccontextmanager
    async def every(
        self, interval: timedelta, *, on_report: Callable[[ReapReport], None] | None = None
    ) -> AsyncGenerator[None]:
        """Runs beside a service until the block is left: at once, and again each time an interval after a run ended.

        After an outage of the storage the reaper logs a warning and tries again at the next interval. Any other error
        ends the task, and is raised when the block is left. Leaving the block does not wait: a batch under way is
        rolled back.

        Args:
            interval: The pause between two runs.
            on_report: Called with the report of each run that did not end in an outage.

        Raises:
            ConfigurationError: The interval is not positive.
        """
        _check_kinds({"interval": (interval, timedelta)})
        if not timedelta(0) < interval <= MAX_DURATION:
            raise ConfigurationError(f"interval must be positive and at most {MAX_DURATION.days} days, not {interval}")
        task = running_loop().create_task(self._run_forever(interval, on_report), name="sessionstore-reaper")
        try:
            yield
        finally:
            task.cancel()
            # gather(), because awaiting the task would raise its CancelledError here.
            (ended,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    async def _run_forever(self, interval: timedelta, on_report: Callable[[ReapReport], None] | None) -> None:
        while True:
            try:
                report = await self.run_once()
            except StorageError as error:
                logger.warning("reaping failed; trying again later", extra={"error": type(error).__name__})
            else:
                if on_report is not None:
                    on_report(report)
            await asyncio.sleep(interval.total_seconds())


def _check_kinds(given: Mapping[str, tuple[object, Any]]) -> None:
    for name, (value, kinds) in given.items():
        if not isinstance(value, kinds) or isinstance(value, bool):
            wanted = "a timedelta" if kinds in (timedelta, _BUDGET) else "a number"
            raise ConfigurationError(f"{name} must be {wanted}, not {named(type(value))}")
