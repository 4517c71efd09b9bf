"""psycopg without the library: the same two statements through a pool. What everything is compared with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import orjson
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from sessionstore import SessionManager, open_storage
from sessionstore.testing.postgres import Database

from ..contestant import NAMESPACE, POOL_SIZE, TTL, Contestant
from ..server import libpq_url
from ..statements import NOTED, STATE, LibrarySql, as_read, key
from ..states import Change, State, make_state


class RawPsycopg(Contestant):
    """Optimistic: a write that found another version is read and tried again at once."""

    packages = ("psycopg", "psycopg-pool")
    job = "no library: SQL by hand"
    note = (
        "Exactly the SQL that the library sends, in autocommit, both statements on one connection of the pool; the "
        "state decoded and encoded by orjson. A conflict is read and tried again at once."
    )

    def __init__(
        self, database: Database, *, schema: str = "sessionstore", clock: Callable[[], datetime] | None = None
    ) -> None:
        super().__init__(database)
        self.schema = schema
        self.sql = LibrarySql.of(database.url, schema)
        self._clock = clock

    async def setup(self) -> None:
        await asyncio.to_thread(self.database.migrate, schema=self.schema)

    async def open(self) -> None:
        pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            libpq_url(self.database.url),
            min_size=POOL_SIZE,
            max_size=POOL_SIZE,
            kwargs={"autocommit": True},
            open=False,
        )
        self.pool = await self.stack.enter_async_context(pool)
        await self.pool.wait()

    async def load(self, sessions: Sequence[str]) -> None:
        async with open_storage(self.database.url, schema=self.schema, clock=self._clock) as storage:
            manager = SessionManager(make_state, storage, NAMESPACE, ttl=TTL)
            for session in sessions:
                (await manager.create_session(session)).unwrap()

    async def get(self, session: str) -> State:
        async with self.pool.connection() as connection:
            return self.decode(await self.fetch(connection, self.sql.get.named, key(session)))

    async def read_modify_write(self, session: str, change: Change) -> None:
        for lost in count():
            async with self.pool.connection() as connection:
                if await self.attempt(connection, session, change):
                    return
            await self.pause(lost)

    async def attempt(self, connection: AsyncConnection[Any], session: str, change: Change) -> bool:
        """One round of reading, changing and writing; whether it was written."""
        row = await self.fetch(connection, self.sql.get.named, key(session))
        state = change(self.decode(row))
        new = {"state": orjson.dumps(state).decode(), **as_read(row), **NOTED}
        return await self.fetch(connection, self.sql.update.named, key(session) | new) is not None

    async def pause(self, lost: int) -> None:
        """What a loser does before its next round."""

    async def fetch(self, connection: AsyncConnection[Any], sql: str, parameters: dict[str, Any]) -> Any:
        parameters["now"] = None if self._clock is None else self._clock()
        cursor = await connection.execute(sql, parameters)
        return await cursor.fetchone()

    @staticmethod
    def decode(row: Any) -> State:
        state: State = orjson.loads(row[STATE])
        return state
