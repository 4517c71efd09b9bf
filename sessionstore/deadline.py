"""The time that a caller gives a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from .errors import StorageUnavailableError, UpdateOutcomeUnknownError

R = TypeVar("R")


async def within(
    timeout: timedelta,  # noqa: ASYNC109  # what it raises tells whether something was written
    call: Coroutine[Any, Any, R],
    written: Callable[[], bool],
) -> R:
    """Waits for a call for so long, by this process's monotonic clock, and cancels it then.

    Args:
        timeout: How long.
        call: What to wait for.
        written: Whether the call may have written something, for all that is known when the time is up.

    Raises:
        StorageUnavailableError: The time is up, and nothing was written.
        UpdateOutcomeUnknownError: The time is up in the middle of a write.
    """
    scope = asyncio.timeout(timeout.total_seconds())
    try:
        async with scope:
            return await call
    except TimeoutError:
        if not scope.expired():
            raise  # the call's own
        seconds = f"{timeout.total_seconds():g} s"
        if written():
            raise UpdateOutcomeUnknownError(
                f"the storage did not answer a write within {seconds}, and it may or may not have landed; "
                "read before repeating it, or give each update an idempotency_key"
            ) from None
        raise StorageUnavailableError(
            f"the storage did not answer within {seconds}, and nothing was written; try again, or allow more time"
        ) from None
