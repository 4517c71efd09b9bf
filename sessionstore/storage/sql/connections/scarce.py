"""Shares connections among calls when the database gives fewer of them than the pool wants."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import Context
from math import inf
from time import monotonic
from typing import Final

from ..causes import Stage, clean_cause
from ..faults import MOMENTARY, NOT_YET, TOO_MANY, Errors, code_of
from .lease import Lease

_LOG: Final = logging.getLogger("sessionstore.storage")

_AGAIN_SECONDS: Final = 10.0
"""After so many seconds with a refusal, one call tries to get another connection."""
_REGAIN_SECONDS: Final = 1.0
"""After so many seconds, one call tries to get another connection, if one was closed for other processes."""
_LATELY_SECONDS: Final = 60.0
"""For so many seconds after a refusal, the server counts as short of connections."""
_ASKED_AGAIN: Final[Mapping[str | None, float]] = {TOO_MANY: inf, NOT_YET: 10.0, MOMENTARY: 10.0}
"""For how many seconds a server is asked again, by the code of its refusal. The timeout of the pool is the limit."""
_PAUSES: Final = (0.02, 0.2)
_SPARE_SECONDS: Final = 1.0
"""How many seconds a connection may be idle while the server is short of connections."""
_TOLD_SECONDS: Final = 600.0
"""The warning is logged at most once in so many seconds."""


class Scarce:
    """The number of connections in use, and the calls that wait for one of them.

    Attributes:
        used: How many connections are in use, or being made.
        refusal: The error of the last attempt to make another connection.

    Args:
        refusals: The errors with which a server or a network refuses a connection.
        idle: The idle connections.
        drop: Closes connections without waiting for anything.
    """

    def __init__(self, refusals: Errors, idle: list[Lease], drop: Callable[[Iterable[Lease]], None]) -> None:
        self._refusals = refusals
        self._idle = idle
        self._drop = drop
        self.used = 0
        self.refusal: BaseException | None = None
        self._waiting: deque[asyncio.Future[Lease | None]] = deque()
        self._until = 0.0
        self._told = self._noted = self._left = -inf
        self._leaving = False
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.TimerHandle | None = None

    async def obtain(
        self, connect: Callable[[], Awaitable[Lease]], seconds: float, unused: Callable[[Lease], Awaitable[None]]
    ) -> Lease | None:
        """Returns a new connection. If the server refuses new ones, returns the next one that is given back.

        Args:
            connect: Makes a connection.
            seconds: For how long to ask the server again, and to wait for a connection that is given back.
            unused: Takes a connection back whose caller was cancelled when it was handed over.

        Returns:
            The connection. None: the server refuses a new connection, but one of ours is idle now.

        Raises:
            Exception: The error of `connect`.
        """
        while True:
            if not self.known():
                self.used += 1
                try:
                    connection = await self._asked(connect, seconds)
                except BaseException as error:
                    self.used -= 1
                    if not isinstance(error, self._refusals):
                        self.free_place()
                        raise
                    if self._idle:
                        return None  # an idle connection of ours may be the one that the server lacks
                    if self.used == 0:
                        self.free_place()
                        raise
                    self.note(error)
                else:
                    self.forget()
                    return connection
            handed = await self._next(seconds, unused)
            if handed is not None:
                return handed

    async def _asked(self, connect: Callable[[], Awaitable[Lease]], seconds: float) -> Lease:
        """Makes a connection. If the server refuses, and no other connection is in use, asks it again for some time.

        Args:
            connect: Makes a connection.
            seconds: For how long to ask again, at most.

        Raises:
            Exception: The last error of `connect`.
        """
        began = monotonic()
        while True:
            try:
                return await connect()
            except Exception as error:
                until = began + min(seconds, _ASKED_AGAIN.get(code_of(error), 0.0))
                if self.used > 1 or monotonic() >= until:
                    raise
                self.note(error)
            # Random, so that processes that were refused together do not ask together. No secret depends on it.
            await asyncio.sleep(random.uniform(*_PAUSES))  # noqa: S311

    def known(self) -> bool:
        """Whether the server is known to refuse new connections now, while some are in use."""
        return self.used > 0 and self.refusal is not None and monotonic() < self._until

    def close_spare_soon(self) -> None:
        """Closes connections that lie idle while the server has too few, so that other processes get them."""
        if self._closing is None and self._idle and self._noted + _LATELY_SECONDS > monotonic():
            self._closing = asyncio.get_running_loop().call_later(_SPARE_SECONDS, self._close_spare, context=Context())

    def _close_spare(self) -> None:
        self._closing = None
        before = monotonic() - _SPARE_SECONDS
        spare = [lease for lease in self._idle if lease.rested < before]
        self._idle[:] = [lease for lease in self._idle if lease.rested >= before]
        self._drop(spare)
        self.close_spare_soon()

    def close(self) -> None:
        """Stops closing idle connections: all of them are closed now."""
        if self._closing is not None:
            self._closing.cancel()

    def leaves_one(self) -> bool:
        """Whether one of several connections is to be closed now, because other processes may have none.

        That happens once in 10 seconds. A second later the server is asked for a connection again.
        """
        if self._leaving and self.used > 1:
            self._leaving = False
            self._ask_again_in(_REGAIN_SECONDS)
            return True
        return False

    def note(self, refusal: BaseException) -> None:
        """Remembers for 10 seconds that the server refuses new connections. Logs a warning once in 10 minutes."""
        now = monotonic()
        self.refusal = clean_cause(refusal, Stage.CONNECTING)  # a copy, which holds no connection
        self._ask_again_in(_AGAIN_SECONDS)
        if code_of(refusal) != TOO_MANY:
            return  # the server said something else, or is not there
        self._noted = now
        if now > self._left + _AGAIN_SECONDS:
            self._leaving = True
            self._left = now
        if now > self._told + _TOLD_SECONDS:
            self._told = now
            _LOG.warning(
                "the database gives no more connections, so calls wait for the connections that there are; "
                "lower pool_size, raise the limit of the role, the database or the server, or put a pooler before it",
                extra={"connections": self.used, "error": type(self.refusal).__name__},
            )

    def _ask_again_in(self, seconds: float) -> None:
        self._until = monotonic() + seconds
        if self._timer is not None:
            self._timer.cancel()
        # Connections may stay in use for long, while the server could give another one. So one waiting call asks again.
        self._timer = asyncio.get_running_loop().call_later(seconds, self.free_place, context=Context())

    def forget(self) -> None:
        """Forgets the refusal after a connection was made, and lets the next waiting call ask for another one."""
        self.refusal = None
        self.hand_over(None)

    def hand_over(self, lease: Lease | None) -> bool:
        """Gives a connection to the call that has waited longest, and returns whether a call waited."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not (waiter.done() or waiter.get_loop().is_closed()):
                waiter.set_result(lease)
                return True
        return False

    def free_place(self) -> None:
        """Lets the call that has waited longest ask the server for a connection, because one may be free now."""
        if self._waiting:
            self._until = 0.0
            self.hand_over(None)

    async def _next(self, seconds: float, unused: Callable[[Lease], Awaitable[None]]) -> Lease | None:
        """Waits until a connection is given back, and returns it. None: the server may give a new connection now.

        Args:
            seconds: For how long to wait.
            unused: Takes a connection back whose caller was cancelled when it was handed over.

        Raises:
            Exception: The time is up. The error is that of the last attempt to make another connection.
        """
        waiter: asyncio.Future[Lease | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except GeneratorExit:
            raise  # the caller is freed after its loop, and nothing can be waited for
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                handed = waiter.result()
                if handed is None:
                    self.free_place()
                else:
                    await unused(handed)
            if isinstance(error, TimeoutError) and self.refusal is not None:
                raise clean_cause(self.refusal, Stage.CONNECTING) from None
            raise
