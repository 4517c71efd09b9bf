"""Where the database gives fewer connections than the pool wants: calls share those that there are."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic
from typing import Any, Final

from ..causes import Stage, clean_cause

_LOG: Final = logging.getLogger("sessionstore.storage")

_AGAIN_SECONDS: Final = 10.0
"""After so long, one call tries to get another connection."""
_TOLD_SECONDS: Final = 600.0
"""For so long it is not logged again."""


class Scarce:
    """The connections in use, and those who wait for one of them.

    Attributes:
        used: How many are in use, or being made.
        refusal: What the last attempt to make another one was refused with.
    """

    def __init__(self) -> None:
        self.used = 0
        self.refusal: BaseException | None = None
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._until = 0.0
        self._told = -inf

    def known(self) -> bool:
        """Whether it is known that there are no more connections to be had now, and some are in use."""
        return self.used > 0 and self.refusal is not None and monotonic() < self._until

    def note(self, refusal: BaseException) -> None:
        """Remembers for a while that there are no more than those in use, and logs it, but not each time."""
        self.refusal = clean_cause(refusal, Stage.CONNECTING)  # which holds no connection
        self._until = monotonic() + _AGAIN_SECONDS
        now = monotonic()
        if now > self._told + _TOLD_SECONDS:
            self._told = now
            _LOG.warning(
                "the database gives no more connections, so calls wait for those that there are; "
                "lower pool_size, raise the limit of the role, the database or the server, or put a pooler before it",
                extra={"connections": self.used, "error": type(self.refusal).__name__},
            )

    def forget(self) -> None:
        """A connection was made."""
        self.refusal = None

    def hand_over(self, lease: Any) -> bool:
        """Gives a connection to whoever has waited longest; whether somebody did."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(lease)
                return True
        return False

    def free_place(self) -> None:
        """Lets whoever has waited longest try to make a connection: one was closed."""
        if self._waiting:
            self._until = 0.0
            self.hand_over(None)

    async def next(self, seconds: float, unused: Callable[[Any], Awaitable[None]]) -> Any:
        """Waits for a connection in use. None: one was closed, and another may be made in its place.

        Args:
            seconds: For how long.
            unused: Takes a connection back whose caller was cancelled when it was handed over.

        Raises:
            Exception: What the attempt to make another one was refused with, when the time is up.
        """
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                if waiter.result() is None:
                    self.free_place()
                else:
                    await unused(waiter.result())
            if isinstance(error, TimeoutError) and self.refusal is not None:
                raise clean_cause(self.refusal, Stage.CONNECTING) from None
            raise
