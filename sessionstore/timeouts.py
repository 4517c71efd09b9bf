"""Ends a call when the caller's ``timeout`` is over."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from time import monotonic
from typing import Any, Final, TypeVar

from . import config
from .concurrency.deadline import within
from .concurrency.sent import Sent, noting
from .errors import ConfigurationError

R = TypeVar("R")

_SHORTEST: Final = 1e-6
"""The shortest timeout in seconds: a timedelta counts microseconds, and a timeout has to be positive."""


def in_time(timeout: timedelta | None, call: Coroutine[Any, Any, R], *, writing: bool) -> Coroutine[Any, Any, R]:
    """Waits for a call of the storage, by this process's monotonic clock.

    Args:
        timeout: How long to wait; None: for as long as the call takes.
        call: The call. It is closed if the timeout is invalid.
        writing: Whether the call writes.

    Raises:
        ConfigurationError: The timeout is not positive, or no timedelta.
        StorageUnavailableError: The timeout is over, and nothing was written.
        UpdateOutcomeUnknownError: The timeout is over in the middle of a write.
    """
    return call if timeout is None else _limited(timeout, call, writing=writing)


async def _limited(timeout: timedelta, call: Coroutine[Any, Any, R], *, writing: bool) -> R:  # noqa: ASYNC109
    try:
        config.check_duration(timeout, "timeout")
    except ConfigurationError:
        call.close()
        raise
    if not writing:
        return await within(timeout, call, lambda: False)
    with noting(sent := Sent()):
        return await within(timeout, call, sent.written)


def time_left(timeout: timedelta | None, since: float) -> timedelta | None:
    """Returns the rest of a timeout, at least a microsecond; None: there is no timeout.

    Args:
        timeout: The whole timeout.
        since: When the timeout began, by ``time.monotonic()``.
    """
    if timeout is None:
        return None
    return timedelta(seconds=max(since + timeout.total_seconds() - monotonic(), _SHORTEST))
