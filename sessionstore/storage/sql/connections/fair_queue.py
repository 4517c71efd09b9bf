"""A queue for connections: first come, first served."""

from __future__ import annotations

import asyncio
from types import TracebackType

from sqlalchemy import AssertionPool, Pool, QueuePool, StaticPool

from ....errors import StorageUnavailableError
from ..faults import NO_CONNECTION

_UNLIMITED = 1 << 30
_DEFAULT_SECONDS = 30.0


class FairQueue:
    """A queue for a number of places. ``async with`` takes a place.

    SQLAlchemy's pool gives a free connection to the task that asks first, often the task that just gave it back.
    Of 64 tasks that read in a loop for 4 seconds, one got a thousand turns and another one got a single turn. A
    semaphore of asyncio keeps the order of arrival.

    Args:
        places: The number of places.
        seconds: How many seconds to wait for a place.
        refusal: The message of the error if no place became free in time.
    """

    def __init__(self, places: int, seconds: float, refusal: str = NO_CONNECTION) -> None:
        self._refusal = refusal
        self._semaphore = asyncio.Semaphore(places)
        self._loop = asyncio.get_running_loop()
        self.seconds = seconds

    @classmethod
    def of_pool(cls, pool: Pool) -> FairQueue:
        """Makes a queue with as many places as the pool has connections, and with the timeout of the pool."""
        if isinstance(pool, StaticPool | AssertionPool):
            return cls(1, _DEFAULT_SECONDS)  # there is one connection, and each transaction needs it alone
        if not isinstance(pool, QueuePool):
            return cls(_UNLIMITED, _DEFAULT_SECONDS)
        # There is no public name for it.
        overflow = pool._max_overflow  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        # SQLAlchemy does not refuse negative sizes.
        return cls(_UNLIMITED if overflow < 0 else max(0, pool.size() + overflow), pool.timeout())

    async def __aenter__(self) -> None:
        if not self._semaphore.locked():
            await self._semaphore.acquire()  # does not wait
            return
        try:
            async with asyncio.timeout(self.seconds):
                await self._semaphore.acquire()
        except TimeoutError:
            raise StorageUnavailableError(self._refusal) from None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._loop.is_closed():  # else the caller is freed after its loop, and nobody waits
            self._semaphore.release()
