"""The synchronous call that upgrades states and items.

Written by `python -m tests.sync`, from `sessionstore/calls/reshaping.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ...calls.reshaping import DEFAULT_BATCH_SIZE, UpgradeReport
from ...session import I, T
from .kind import Kind


class Upgrading(Kind[T, I]):
    """Writes older states and items of one kind in their current shape."""

    def upgrade_states(
        self,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        time_budget: timedelta | None = None,
        on_batch: Callable[[UpgradeReport], None] | None = None,
    ) -> UpgradeReport:
        """Writes all older states and items of this namespace in their current shape, in batches.

        Needed only before a function is removed from ``upgrades``, or to keep reads short: without it, an older state
        is upgraded at each read, and is written in the new shape by its next update. May be run again and by several
        processes at once, beside the service. A run that is stopped keeps the batches that it has written.

        A rewritten state counts as a write: its version grows by one, so an ``expected_version`` from before does not
        match. It is no access: the expiry and all times stay. A state that another caller writes at the same time is
        read anew, so no update is lost.

        Args:
            batch_size: How many states or items to write at a time.
            time_budget: Begin no further batch after this time; None: no limit.
            on_batch: Is called after each batch, with what the run has done so far.

        Raises:
            ConfigurationError: An argument is invalid, or the storage cannot rewrite states.
            StorageError: The storage failed. Call again to go on.
        """
        return self._run(
            self.asynchronous.upgrade_states(batch_size=batch_size, time_budget=time_budget, on_batch=on_batch)
        )
