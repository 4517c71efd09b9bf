"""asyncpg without the library: the same two statements through its pool."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from sessionstore import SessionManager, open_storage
from sessionstore.testing.postgres import Database

from ..contestant import NAMESPACE, POOL_SIZE, TTL, Contestant
from ..server import libpq_url
from ..statements import NOTED, STATE, LibrarySql, Sql, as_read, key
from ..states import Change, State, make_state

SCHEMA = "sessionstore"


class RawAsyncpg(Contestant):
    """Optimistic: a write that found another version is read and tried again at once."""

    packages = ("asyncpg",)
    driver = "asyncpg"
    job = "no library: SQL by hand"
    note = (
        "As raw psycopg, with the SQL that the library sends through asyncpg. The pool does not reset connections that "
        "are given back, which would be one more round trip."
    )

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.sql = LibrarySql.of(database.asyncpg_url, SCHEMA)

    async def setup(self) -> None:
        await asyncio.to_thread(self.database.migrate, schema=SCHEMA)

    async def open(self) -> None:
        self.pool = await self.stack.enter_async_context(
            asyncpg.create_pool(
                libpq_url(self.database.url), min_size=POOL_SIZE, max_size=POOL_SIZE, reset=_leave_as_it_is
            )
        )

    async def load(self, sessions: Sequence[str]) -> None:
        async with open_storage(self.database.url, schema=SCHEMA) as storage:
            manager = SessionManager(make_state, storage, NAMESPACE, ttl=TTL)
            for session in sessions:
                (await manager.create_session(session)).unwrap()

    async def get(self, session: str) -> State:
        async with self.pool.acquire() as connection:
            return _decode(await _fetch(connection, self.sql.get, key(session)))

    async def read_modify_write(self, session: str, change: Change) -> None:
        while True:
            async with self.pool.acquire() as connection:
                row = await _fetch(connection, self.sql.get, key(session))
                state = change(_decode(row))
                new = {"state": orjson.dumps(state).decode(), **as_read(row), **NOTED}
                if await _fetch(connection, self.sql.update, key(session) | new) is not None:
                    return


async def _leave_as_it_is(_: Any) -> None:
    """Nothing to reset: autocommit, no settings, no locks."""


async def _fetch(connection: Any, sql: Sql, parameters: dict[str, Any]) -> Any:
    return await connection.fetchrow(sql.text, *sql.arguments(parameters | {"now": None}))


def _decode(row: Any) -> State:
    state: State = orjson.loads(row[STATE])
    return state
