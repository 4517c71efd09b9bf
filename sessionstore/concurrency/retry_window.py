"""Retries the lookup of a lost write, with backoff, for at most ten seconds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, TypeVar

from ..errors import SchemaError, StorageError, StorageUnavailableError, UpdateOutcomeUnknownError

R = TypeVar("R")

_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5


class RetryWindow:
    """Backoff between lookups of a lost write: pauses from zero to half a second, for ten seconds in all.

    A server that crashed is usually back within ten seconds.
    """

    def __init__(self) -> None:
        self._end = monotonic() + _SECONDS
        self._pause = 0.0

    @property
    def over(self) -> bool:
        """Whether the ten seconds have passed."""
        return monotonic() >= self._end

    async def pause(self) -> None:
        """Waits before the next lookup. The first one is immediate, because a journal keeps only the newest writes."""
        # Random, so that callers that lost their connections together do not retry together. Need not be secure.
        await asyncio.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause) or _FIRST_PAUSE


async def until_told(attempt: Callable[[], Awaitable[R]]) -> R:
    """Retries an operation whose answer was lost. The operation itself must find out whether it was done before.

    Raises:
        UpdateOutcomeUnknownError: The storage did not answer within the retry window, or failed otherwise.
    """
    window: RetryWindow | None = None
    lost: UpdateOutcomeUnknownError | None = None
    while True:
        try:
            return await attempt()
        except UpdateOutcomeUnknownError as error:
            lost = lost or error
        except StorageUnavailableError:
            if lost is None:
                raise
        except (StorageError, SchemaError) as error:
            if lost is None:
                raise
            raise lost from error  # it is still unknown whether the lost attempt landed
        window = window or RetryWindow()
        if window.over:
            raise lost
        await window.pause()
