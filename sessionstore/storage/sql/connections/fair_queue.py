"""Who may use a connection next: first come, first served."""

from __future__ import annotations

import asyncio
from types import TracebackType

from sqlalchemy import AssertionPool, Pool, QueuePool, StaticPool

from ....errors import StorageUnavailableError
from ..faults import NO_CONNECTION

_UNLIMITED = 1 << 30
_DEFAULT_SECONDS = 30.0


class FairQueue:
    """A queue before a number of places, to be entered with ``async with``.

    SQLAlchemy's pool gives a connection to whoever asks first once it is free, and that is the task that just gave it
    back and goes on without a pause: of 64 tasks that read in a loop for 4 seconds, the luckiest was measured to get
    a thousand turns and the unluckiest one. A semaphore of asyncio lets nobody overtake.

    Args:
        places: How many may be inside at once.
        seconds: How long to wait for a place.
        refusal: What those are told who waited in vain.
    """

    def __init__(self, places: int, seconds: float, refusal: str = NO_CONNECTION) -> None:
        self._refusal = refusal
        self._semaphore = asyncio.Semaphore(places)
        self.seconds = seconds

    @classmethod
    def of_pool(cls, pool: Pool) -> FairQueue:
        """As many places as the pool has connections, and the same time to wait."""
        if isinstance(pool, StaticPool | AssertionPool):
            return cls(1, _DEFAULT_SECONDS)  # there is one connection, and a transaction on it is nobody else's
        if not isinstance(pool, QueuePool):
            return cls(_UNLIMITED, _DEFAULT_SECONDS)
        # There is no public name for it.
        overflow = pool._max_overflow  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        # SQLAlchemy does not refuse negative sizes.
        return cls(_UNLIMITED if overflow < 0 else max(0, pool.size() + overflow), pool.timeout())

    async def __aenter__(self) -> None:
        if not self._semaphore.locked():
            await self._semaphore.acquire()  # without a pause
            return
        try:
            async with asyncio.timeout(self.seconds):
                await self._semaphore.acquire()
        except TimeoutError:
            raise StorageUnavailableError(self._refusal) from None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._semaphore.release()
