"""A channel: the connections and the queues with which one event loop reaches the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Engine
from sqlalchemy.exc import SQLAlchemyError

from ..dialects.dialect import Backend
from ..faults import Errors
from ..urls.sqlite import file_of
from .checkout import Connections
from .engine import BUSY_SECONDS
from .fair_queue import FairQueue
from .limits import Limits
from .modes import MODES
from .pools import LoopPool

_BUSY: Final = "other writers of this process held the SQLite file for too long; write less at once, or use PostgreSQL"

NO_QUEUE: Final = nullcontext()

_FAREWELL_SECONDS: Final = 2.0
"""How many seconds the end of a loop waits for connections to be closed."""


class Channel:
    """The connections of one event loop, and the queues for them. No other loop and no forked child may use a channel.

    Attributes:
        connections: The connections of this loop.
        queue: The queue for a connection.
        write_queue: The queue of writers, if the database takes one writer at a time.
        check_turn: The lock that a call holds while it looks at the tables.

    Args:
        engine: The engine whose connections are used.
        backend: The database.
        limits: The time limits.
        owned: Whether the engine is ours, see Connections.
        ended: Called when the channel was closed because its loop ends.
    """

    def __init__(
        self, engine: Engine, backend: Backend, limits: Limits, *, owned: bool, ended: Callable[[Channel], None]
    ) -> None:
        pool = LoopPool(engine, owned=owned)
        errors = backend.driver.errors
        self._errors: Errors = (*errors, SQLAlchemyError, OSError)  # a TimeoutError is an OSError
        self.queue = FairQueue.of_pool(pool())
        limits = replace(limits, connection_wait=self.queue.seconds)
        mode, file = MODES[engine.dialect.driver](), _file(engine.url)
        self.connections = Connections(pool, mode, backend.driver, limits, owned=owned, file=file)
        self.write_queue = FairQueue(1, BUSY_SECONDS, _BUSY) if backend.one_writer else NO_QUEUE
        self.check_turn = asyncio.Lock()
        self._ended = ended
        self._closed = False
        self._last_act = _last_act(self._end)
        # Runs the generator up to its `yield`, without waiting. From then on the loop closes it at its end.
        with suppress(StopIteration):
            self._last_act.__anext__().send(None)

    async def close(self) -> None:
        """Gives idle connections back to the pool, and closes our own."""
        self._closed = True
        await self.connections.close()

    def abandon(self) -> None:
        """Drops all connections after the loop was closed, or when no task can wait for their end."""
        self._closed = True
        self.connections.abandon()

    async def _end(self) -> None:
        if self._closed or self.connections.inherited:
            return
        self._closed = True
        self._ended(self)
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self.connections.end()
        except self._errors:
            self.connections.abandon()


def _file(url: URL) -> Path | None:
    """Returns the file of a SQLite database; None: the database is in memory, or is not SQLite."""
    in_memory = not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"
    return None if url.get_backend_name() != "sqlite" or in_memory else file_of(url)


async def _last_act(act: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Runs `act` when the loop ends: asyncio.run() closes all async generators while the loop still runs."""
    try:
        yield
    finally:
        await act()
