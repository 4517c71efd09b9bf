"""Reaper, for programs without asyncio.

Written by `python -m tests.sync`, from `sessionstore/reaper.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

from ..reaper import DEFAULT_BATCH_SIZE, DEFAULT_BATCH_TIME, ReapProgress, ReapReport
from ..reaper import Reaper as AsyncReaper
from .entered import entered
from .link import Linked
from .storage import StorageProvider, reached


class Reaper(Linked):
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

    asynchronous: AsyncReaper

    def __init__(
        self,
        storage: StorageProvider,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        grace: timedelta = timedelta(0),
        pace: float = 0.0,
        batch_time: timedelta = DEFAULT_BATCH_TIME,
    ) -> None:
        provider, self._link = reached(storage)
        self.asynchronous = AsyncReaper(provider, batch_size=batch_size, grace=grace, pace=pace, batch_time=batch_time)

    def run_once(
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
        return self._run(self.asynchronous.run_once(dry_run, time_budget, on_batch))

    def every(
        self, interval: timedelta, *, on_report: Callable[[ReapReport], None] | None = None
    ) -> AbstractContextManager[None]:
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
        return entered(self._link, self.asynchronous.every(interval, on_report=on_report))
