"""A channel: what one event loop of one process reaches the database through."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Final

from sqlalchemy import Engine

from .connections import Connections
from .dialect import Backend
from .engine import BUSY_SECONDS
from .modes import MODES
from .turns import Turns

_BUSY: Final = "other writers kept the SQLite file for too long; write less at once, or use PostgreSQL"

NO_TURN: Final = nullcontext()


class Channel:
    """Connections and the queues before them. Nothing here may be used by another loop, or by a forked child.

    Attributes:
        connections: The connections of this loop.
        turns: The queue for a connection.
        write_turns: The queue of those who write, where the database takes one writer at a time.
        check_turn: Held by the call that looks at the tables.

    Args:
        engine: The engine whose connections are used.
        backend: The database.
        owned: Whether the engine is ours, see Connections.
        first: Whether no other channel uses the engine's own pool. Others use a pool with the same settings.
    """

    def __init__(self, engine: Engine, backend: Backend, *, owned: bool, first: bool) -> None:
        own = engine.pool if first else engine.pool.recreate()
        pool = (lambda: own) if owned else (lambda: engine.pool)
        mode = MODES[engine.dialect.driver]()
        self.connections = Connections(pool, mode, backend.driver.errors, owned=owned)
        self.turns = Turns.of_pool(own)
        self.write_turns = Turns(1, BUSY_SECONDS, _BUSY) if backend.one_writer else NO_TURN
        self.check_turn = asyncio.Lock()

    async def close(self) -> None:
        """Gives back what is idle, and closes it if it is ours."""
        await self.connections.close()

    def abandon(self) -> None:
        """Drops everything after the loop was closed."""
        self.connections.abandon()
