"""Each call, cancelled at each place where it waits: it leaves no connection, no lock, no half of a write behind."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import psycopg
import pytest

from sessionstore import (
    OrchestrationStateManager,
    Reaper,
    SessionManager,
    SqlStorageProvider,
    StorageProvider,
    open_storage,
)
from sessionstore.storage import Document, Window, Write
from sessionstore.testing.postgres import Database, PostgresServer
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import Chat, draft, increment, key, new_chat, rewrite
from tests.support.bystander import dsn
from tests.support.cancelling import CancelledAt, When
from tests.support.databases import driven
from tests.support.opening import in_use

Call: TypeAlias = Callable[[SqlStorageProvider], Coroutine[Any, Any, Any]]

_SESSIONS = ("a", "b", "old-1", "old-2", "s")
_PATIENCE = 5.0
_ERA = 1000
"""Each attempt begins at versions of its own, so that a version never comes back."""


class Place(Protocol):
    """The database as somebody else sees it."""

    url: str

    def keep(self) -> None:
        """Remembers the sessions, all of them due for an access, and the old ones expired."""
        ...

    def begin(self, version: int) -> None:
        """Puts the sessions back, at this version."""
        ...

    def rows(self) -> list[tuple[str, int, str]]:
        """Id, version and state of each session."""
        ...

    def quiet(self) -> bool:
        """Whether nobody else runs anything or holds a transaction."""
        ...

    def left(self) -> bool:
        """Whether nobody else is connected."""
        ...


_AGING = [("NOT LIKE", timedelta(minutes=20)), ("LIKE", timedelta(hours=2))]


class PostgresPlace:
    def __init__(self, url: str, connection: psycopg.Connection) -> None:
        self.url = url
        self._connection = connection

    def keep(self) -> None:
        self._run("SET lock_timeout = '5s'")
        self._run("CREATE TEMPORARY TABLE kept AS TABLE sessionstore.sessions")
        for operator, age in _AGING:
            self._run(f"UPDATE kept SET expires_at = expires_at - %s WHERE session_id {operator} 'old%%'", age)

    def begin(self, version: int) -> None:
        self._run("UPDATE kept SET version = %s", version)
        self._run("DELETE FROM sessionstore.sessions")
        self._run("INSERT INTO sessionstore.sessions SELECT * FROM kept")

    def rows(self) -> list[tuple[str, int, str]]:
        return self._run("SELECT session_id, version, state::text FROM sessionstore.sessions")

    def quiet(self) -> bool:
        return self._none("state <> 'idle'")

    def left(self) -> bool:
        return self._none("true")

    def _none(self, condition: str) -> bool:
        others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ((none,),) = self._run(f"SELECT count(*) = 0 FROM pg_stat_activity WHERE {others} AND {condition}")
        return bool(none)

    def _run(self, query: str, *params: object) -> list[Any]:
        cursor = self._connection.execute(query.encode(), params or None)
        return cursor.fetchall() if cursor.description else []


class SqlitePlace:
    def __init__(self, url: str, connection: sqlite3.Connection) -> None:
        self.url = url
        self._connection = connection

    def keep(self) -> None:
        self._connection.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM sessions")
        for operator, age in _AGING:
            query = f"UPDATE kept SET expires_at = expires_at - ? WHERE session_id {operator} 'old%'"
            self._connection.execute(query, [age // timedelta(microseconds=1)])

    def begin(self, version: int) -> None:
        self._connection.execute("UPDATE kept SET version = ?", [version])
        self._connection.execute("DELETE FROM sessions")
        self._connection.execute("INSERT INTO sessions SELECT * FROM kept")

    def rows(self) -> list[tuple[str, int, str]]:
        return self._connection.execute("SELECT session_id, version, json(state) FROM sessions").fetchall()

    def quiet(self) -> bool:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        self._connection.execute("ROLLBACK")
        return True

    def left(self) -> bool:
        # Going back from the write-ahead log takes the file alone.
        try:
            (mode,) = self._connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError:
            return False
        self._connection.execute("PRAGMA journal_mode = WAL")
        return bool(mode == "delete")


@pytest.fixture(scope="module")
def own_database(server: PostgresServer) -> Iterator[Database]:
    """One to which nobody else is connected."""
    with server.fresh_database() as database:
        yield database.migrate()


@pytest.fixture(scope="module", params=["sqlite", "psycopg", "asyncpg"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    there: Place
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        file = copied_file(template, tmp_path_factory.mktemp("cancelled") / "sessions.db")
        with closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as connection:
            there = SqlitePlace(sqlite_url(file), connection)
            asyncio.run(_settle(there))
            yield there
        return
    database: Database = request.getfixturevalue("own_database")
    database.empty()
    with psycopg.connect(dsn(database.url), autocommit=True) as other:
        there = PostgresPlace(driven(database.url, request.param), other)
        asyncio.run(_settle(there))
        yield there


async def _settle(place: Place) -> None:
    async with _opened(place) as storage:
        for session_id in _SESSIONS:
            await _chats(storage).create_session(session_id)
    place.keep()


def _open(place: Place) -> SqlStorageProvider:
    # Few connections, so that one that is missing is missed.
    storage = open_storage(place.url, pool_size=2, pool_timeout=_PATIENCE)
    assert isinstance(storage, SqlStorageProvider)
    return storage


@asynccontextmanager
async def _opened(place: Place) -> AsyncIterator[SqlStorageProvider]:
    storage = _open(place)
    try:
        yield storage
    finally:
        await storage.close()


def _chats(storage: StorageProvider) -> SessionManager[Chat]:
    return SessionManager(new_chat, storage, namespace="chat")


def _chat(session_id: str, n: int = 1) -> str:
    return json.dumps({**new_chat(session_id), "n": n})


def _count(document: Document) -> Write:
    state = json.loads(document.state)
    return rewrite(document, json.dumps({**state, "n": state["n"] + 1}))


async def _update_many(storage: SqlStorageProvider) -> None:
    documents = await storage.get_many([key("a"), key("b")], touch=False)
    await storage.update_many([_count(document) for document in documents if document is not None])


async def _together(storage: SqlStorageProvider) -> None:
    await asyncio.gather(*(_chats(storage).update_session("s", increment) for _ in range(5)))


async def _pages(storage: SqlStorageProvider) -> None:
    page = await storage.list("chat", limit=2)
    while page.next is not None:
        page = await storage.list("chat", limit=2, after=page.next)


async def _reap_beside(storage: SqlStorageProvider) -> None:
    reaped = asyncio.Event()
    async with Reaper(storage, batch_size=1).every(timedelta(hours=1), on_report=lambda _: reaped.set()):
        await reaped.wait()


async def _orchestrate(storage: SqlStorageProvider) -> None:
    states = OrchestrationStateManager(storage)
    await states.get_or_create_state("o")
    await states.add_used_tool("o", "search")
    await states.reset_state("o")
    await states.cleanup_session("o")


_MANAGER: dict[str, Call] = {
    "create_session": lambda storage: _chats(storage).create_session("new"),
    "create_session that is there": lambda storage: _chats(storage).create_session("s"),
    "get_session": lambda storage: _chats(storage).get_session("s"),
    "get_session without touch": lambda storage: _chats(storage).get_session("s", touch=False),
    "update_session": lambda storage: _chats(storage).update_session("s", increment),
    "update_session with a timeout": lambda storage: _chats(storage).update_session(
        "s", increment, timeout=timedelta(seconds=_PATIENCE)
    ),
    "update_session with a key": lambda storage: _chats(storage).update_session("s", increment, idempotency_key="k"),
    "updates together": _together,
    "delete_session": lambda storage: _chats(storage).delete_session("s"),
    "orchestration": _orchestrate,
}
_PROVIDER: dict[str, Call] = {
    "create_many": lambda storage: storage.create_many([draft("new-1", _chat("new-1")), draft("new-2"), draft("s")]),
    "get_group": lambda storage: storage.get_group([key("a"), key("nobody")], window=Window(limit=2)),
    "get_many": lambda storage: storage.get_many([key("a"), key("b"), key("nobody")]),
    "get": lambda storage: storage.get(key("s")),
    "update_many": _update_many,
    "update_locked": lambda storage: storage.update_locked(key("s"), _count),
    "update_locked_many": lambda storage: storage.update_locked_many([key("a"), key("b")], _count),
    "delete_many": lambda storage: storage.delete_many([key("a"), key("b")]),
    "set_many": lambda storage: storage.set_many([draft("a", _chat("a")), draft("b", _chat("b")), draft("new")]),
    "exists_many": lambda storage: storage.exists_many([key("a"), key("nobody")]),
    "touch_many": lambda storage: storage.touch_many([key("a"), key("nobody")]),
    "touch": lambda storage: storage.touch(key("s")),
    "list": _pages,
    "clear": lambda storage: storage.clear("chat", prefix="old"),
    "purge_batch": lambda storage: storage.purge_batch(limit=1),
    "count_expired": lambda storage: storage.count_expired(),
    "stats": lambda storage: storage.stats(),
    "Reaper.run_once": lambda storage: Reaper(storage, batch_size=1).run_once(),
    "Reaper.every": _reap_beside,
}


class _Trial:
    """One call, cancelled again and again, each time a place further on."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._version = 0
        self._seen: list[dict[str, int | None]] = []
        self._before: dict[str, int | None] = {}

    async def cancelled(self, call: Coroutine[Any, Any, Any], at: int, when: When) -> bool:
        """Whether the call came as far as to be cancelled."""
        self._version += _ERA
        self._place.begin(self._version)
        self._before = self._states()
        cancelling = CancelledAt(call, at, when)

        async def run() -> Any:
            return await cancelling

        ends: list[Any] = []
        async with asyncio.timeout(_PATIENCE):
            ends += await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
        end = ends.pop()
        if cancelling.reached:
            assert isinstance(end, asyncio.CancelledError), f"cancelled at {at}, it ended with {end!r}"
        else:
            assert not isinstance(end, BaseException), repr(end)
        await _until(self._place.quiet, f"something still runs after a cancellation at {at}")
        self._seen.append(self._states())
        return cancelling.reached

    def assert_whole(self) -> None:
        """Each session was always either as before or as after the call that came to its end, which is the last."""
        after = self._seen[-1]
        for seen in self._seen:
            for session_id in seen.keys() | self._before.keys():
                state = seen.get(session_id)
                assert state in (self._before.get(session_id), after.get(session_id)), (session_id, seen)

    def _states(self) -> dict[str, int | None]:
        states: dict[str, int | None] = {}
        for session_id, version, text in self._place.rows():
            states[session_id] = json.loads(text).get("n")
            if session_id in _SESSIONS and self._version <= version < self._version + _ERA:
                assert version - self._version == states[session_id], "a version without its write"
        return states


def _alone() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


async def _until(condition: Callable[[], bool], complaint: str) -> None:
    for _ in range(int(_PATIENCE / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)  # there is no event to wait for
    raise AssertionError(complaint)


async def _until_nothing_is_held(storage: SqlStorageProvider) -> None:
    """Waits for the tasks that end a cancelled call, or make up for an access; no connection is in use without them."""
    await _until(_alone, "a task was left behind")
    assert in_use(storage) == 0


async def _works(storage: SqlStorageProvider) -> None:
    """Nothing is held, nobody is left, and the next calls of all ways go through at once."""
    await _until_nothing_is_held(storage)
    async with asyncio.timeout(_PATIENCE):
        chats = _chats(storage)
        await chats.create_session("s")
        results: Sequence[Any] = await asyncio.gather(
            *(chats.update_session("s", increment) for _ in range(3)),
            *(chats.get_session("s") for _ in range(3)),
            *(storage.touch(key("s")) for _ in range(3)),
        )
    assert all(results)
    assert all(result.success for result in results[:6])
    await _until_nothing_is_held(storage)


@pytest.mark.parametrize("when", When, ids=lambda when: when.name.lower())
@pytest.mark.parametrize("call", [*_MANAGER.values(), *_PROVIDER.values()], ids=[*_MANAGER, *_PROVIDER])
async def test_a_call_may_be_cancelled_wherever_it_waits(place: Place, call: Call, when: When) -> None:
    async with _opened(place) as storage:
        await _works(storage)
        trial = _Trial(place)
        at = 1
        while await trial.cancelled(call(storage), at, when):
            await _works(storage)
            at += 1
        assert at > 1
    if call is not _together:  # of five updates, any number may have landed
        trial.assert_whole()
    await _until(place.left, "a closed storage left a connection behind")


@pytest.mark.parametrize("when", When, ids=lambda when: when.name.lower())
async def test_a_first_call_may_be_cancelled_while_it_connects(place: Place, when: When) -> None:
    trial = _Trial(place)
    at = 1
    reached = True
    while reached:
        async with _opened(place) as storage:
            reached = await trial.cancelled(_chats(storage).update_session("s", increment), at, when)
            await _works(storage)
        await _until(place.left, "a closed storage left a connection behind")
        at += 1
    assert at > 4
    trial.assert_whole()


@pytest.mark.parametrize("when", When, ids=lambda when: when.name.lower())
async def test_closing_may_be_cancelled_and_done_again(place: Place, when: When) -> None:
    trial = _Trial(place)
    at = 1
    reached = True
    while reached:
        storage = _open(place)
        await _works(storage)
        reached = await trial.cancelled(storage.close(), at, when)
        await storage.close()
        await _until(_alone, "a task was left behind")
        await _until(place.left, "a closed storage left a connection behind")
        at += 1
    assert at > 1
