"""Programs that go on while the tables are migrated: each notes what it wrote, and every error."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from sessionstore import SessionManager, StorageProvider
from sessionstore.testing.postgres import Database, dsn
from sessionstore.testing.support.documents import increment, new_chat

SESSIONS = 8

Turn = Callable[[str], Awaitable[object]]
"""One update of the session with this id."""

_MAKE = """
    INSERT INTO sessionstore.sessions (namespace, session_id, state, version, created_at, updated_at, last_accessed_at)
    VALUES ('sessions', %s, '{"n": 0}', 1, now(), now(), now())
"""
_UPDATE = """
    UPDATE sessionstore.sessions
    SET state = jsonb_set(state, '{n}', to_jsonb((state->>'n')::int + 1)), version = version + 1, updated_at = now()
    WHERE namespace = 'sessions' AND session_id = %s
"""
_READ = "SELECT state FROM sessionstore.sessions WHERE namespace = 'sessions' AND session_id = %s"


def make_sessions(database: Database) -> None:
    """The sessions that the programs write."""
    with psycopg.connect(dsn(database.url)) as connection:
        connection.cursor().executemany(_MAKE, [(f"s{n}",) for n in range(SESSIONS)])


def states_of(database: Database) -> dict[str, int]:
    """How often each session was updated."""
    query = "SELECT session_id, (state->>'n')::int FROM sessionstore.sessions"
    with psycopg.connect(dsn(database.url)) as connection:
        return dict(connection.execute(query).fetchall())


class Programs:
    """Writers that update one session after the other until they are told to end.

    Attributes:
        written: How many updates of each session succeeded.
        errors: What went wrong.
    """

    def __init__(self) -> None:
        self.written: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self._over = False
        self._turned = asyncio.Event()

    @asynccontextmanager
    async def running(self, turns: list[Turn]) -> AsyncIterator[None]:
        """Runs a writer for each function; at the end of the block each finishes its update."""
        async with asyncio.TaskGroup() as group:
            for at, turn in enumerate(turns):
                group.create_task(self._write(turn, at))
            try:
                yield
            finally:
                self._over = True

    async def more(self) -> None:
        """Waits until every session was updated once more."""
        before = Counter(self.written)
        while any(self.written[f"s{n}"] <= before[f"s{n}"] for n in range(SESSIONS)) and not self.errors:
            self._turned.clear()
            await asyncio.wait_for(self._turned.wait(), 30)

    async def _write(self, turn: Turn, at: int) -> None:
        while not self._over:
            name = f"s{at % SESSIONS}"
            at += 1
            try:
                await turn(name)
            except Exception as error:  # noqa: BLE001  # any error is one too many
                self.errors.append(error)
                self._over = True
            else:
                self.written[name] += 1
            self._turned.set()


def of_the_library(storage: StorageProvider, *, items: bool) -> Turn:
    """The turn of a service: an update, perhaps an append, and a read."""
    manager: SessionManager[dict[str, Any]] = SessionManager(new_chat, storage)

    async def turn(name: str) -> None:
        (await manager.update_session(name, increment)).unwrap()
        (await manager.get_session(name)).unwrap()
        if items:
            (await manager.append_items(name, [name])).unwrap()
            assert len((await manager.get_session(name, last_items=1)).items) == 1

    return turn


def of_sql(connection: psycopg.AsyncConnection) -> Turn:
    """The turn of a program that knows only the first revision: a read and an update."""

    async def turn(name: str) -> None:
        assert await (await connection.execute(_READ, (name,))).fetchone() is not None
        assert (await connection.execute(_UPDATE, (name,))).rowcount == 1

    return turn
