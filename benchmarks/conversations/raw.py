"""psycopg without the library: the statements that the library sends for items, through a pool."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import orjson
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg_pool import AsyncConnectionPool

from sessionstore import SessionManager, open_storage
from sessionstore.storage.journal import append_entry, entry, new_write_id
from sessionstore.storage.sql import SqlStorageProvider
from sessionstore.storage.sql.statements.item_reading import Shape
from sessionstore.testing.postgres import Database

from ..contestant import NAMESPACE, POOL_SIZE, TTL
from ..contestants.raw_psycopg import RawPsycopg
from ..server import libpq_url
from ..statements import STATE, Sql, as_read, key
from ..states import change
from .conversations import WINDOW, Conversations, message, small_state, text_of

_AT_ONCE: Final = 500
_UNCONDITIONAL: Final[dict[str, Any]] = {
    "owner_id": None,
    "expected": None,
    "digest": None,
    "key_chars": 0,
    "now": None,
}
_NEWEST: Final[dict[str, Any]] = {"log": "", "after": None, "before": None, "ids": None, "limit": WINDOW, "now": None}
_SEPARATOR: Final = "\x1e"


class RawConversations(RawPsycopg, Conversations):
    """One statement for an append, two for a turn, in autocommit, on a connection of the pool."""

    job = "no library: SQL by hand"
    note = (
        "Exactly the SQL that the library sends for items, in autocommit, both statements of a turn on one connection "
        "of the pool; messages and state decoded and encoded by orjson. A conflict is read and tried again at once."
    )

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        statements = SqlStorageProvider.from_url(database.url, schema=self.schema)._statements
        shape = Shape(newest=True, after=False, before=False, ids=False)
        self._append = Sql.of(statements.append.one)
        self._update = Sql.of(statements.update_with_items.one)
        self._window = Sql.of(statements.get_window(shape, journal=False).one)

    async def open(self) -> None:
        pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            libpq_url(self.database.url),
            min_size=POOL_SIZE,
            max_size=POOL_SIZE,
            kwargs={"autocommit": True, "cursor_factory": AsyncRawCursor},
            open=False,
        )
        self.pool = await self.stack.enter_async_context(pool)
        await self.pool.wait()

    async def begin(self, sessions: Sequence[str]) -> None:
        async with open_storage(self.database.url, schema=self.schema) as storage:
            manager = SessionManager(small_state, storage, NAMESPACE, ttl=TTL)
            for session in sessions:
                (await manager.create_session(session)).unwrap()

    async def grow(self, session: str, count: int) -> None:
        for at in range(0, count, _AT_ONCE):
            await self._add(session, min(_AT_ONCE, count - at))

    async def append(self, session: str) -> None:
        await self._add(session, 1)

    async def converse(self, session: str) -> None:
        while True:
            async with self.pool.connection() as connection:
                row = await self._run(connection, self._window, key(session) | _NEWEST)
                [orjson.loads(each.split(":", 2)[2]) for each in (row[-1] or "").split(_SEPARATOR) if each]
                state = change(orjson.loads(row[STATE]))
                write = new_write_id()
                written = {
                    **key(session),
                    **as_read(row),
                    **_items(write, 2),
                    "state": orjson.dumps(state).decode(),
                    "count": 1,
                    "write": entry(write, 1),
                    "keys": None,
                    "keys_read": None,
                    "state_version": 1,
                    "now": None,
                }
                if await self._run(connection, self._update, written) is not None:
                    return

    async def length(self, session: str) -> int:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                f"SELECT last_position FROM {self.schema}.sessions WHERE session_id = $1".encode(), [session]
            )
            row = await cursor.fetchone()
            return 0 if row is None else int(row[0])

    async def _add(self, session: str, count: int) -> None:
        appended = key(session) | _items(new_write_id(), count) | _UNCONDITIONAL
        # Another caller may hold the row. The statement then passes the row over, as the library's does.
        while True:
            async with self.pool.connection() as connection:
                if await self._run(connection, self._append, appended) is not None:
                    return
            await asyncio.sleep(0)

    @staticmethod
    async def _run(connection: AsyncConnection[Any], sql: Sql, parameters: dict[str, Any]) -> Any:
        cursor = await connection.execute(sql.text.encode(), sql.arguments(parameters), prepare=True)
        return await cursor.fetchone()


def _items(write: str, count: int) -> dict[str, Any]:
    items = [{"n": number, "i": text_of(message())} for number in range(1, count + 1)]
    return {
        "append_id": write,
        "append_entry": append_entry(write, count),
        "appended": count,
        "items": orjson.dumps(items).decode(),
    }
