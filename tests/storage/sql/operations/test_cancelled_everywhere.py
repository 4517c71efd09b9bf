"""Each call, cancelled at each place where it waits: it leaves no connection, no lock, no half of a write behind."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sessionstore import SqlStorageProvider, open_storage
from sessionstore.testing.postgres import Database, PostgresServer
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import increment, key
from tests.storage.sql.operations.every_call import MANAGER, PATIENCE, PROVIDER, Call, chats_on, together
from tests.storage.sql.operations.places import Place, PostgresPlace, SqlitePlace
from tests.support.bystander import dsn
from tests.support.cancelling import CancelledAt, When
from tests.support.databases import driven
from tests.support.opening import in_use

_SESSIONS = ("a", "b", "old-1", "old-2", "s")
_ERA = 1000
"""Each attempt begins at versions of its own, so that a version never comes back."""


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
            await chats_on(storage).create_session(session_id)
    place.keep()


def _open(place: Place) -> SqlStorageProvider:
    # Few connections, so that one that is missing is missed.
    storage = open_storage(place.url, pool_size=2, pool_timeout=PATIENCE)
    assert isinstance(storage, SqlStorageProvider)
    return storage


@asynccontextmanager
async def _opened(place: Place) -> AsyncIterator[SqlStorageProvider]:
    storage = _open(place)
    try:
        yield storage
    finally:
        await storage.close()


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
        async with asyncio.timeout(PATIENCE):
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
    for _ in range(int(PATIENCE / 0.005)):
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
    async with asyncio.timeout(PATIENCE):
        chats = chats_on(storage)
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
@pytest.mark.parametrize("call", [*MANAGER.values(), *PROVIDER.values()], ids=[*MANAGER, *PROVIDER])
async def test_a_call_may_be_cancelled_wherever_it_waits(place: Place, call: Call, when: When) -> None:
    async with _opened(place) as storage:
        await _works(storage)
        trial = _Trial(place)
        at = 1
        while await trial.cancelled(call(storage), at, when):
            await _works(storage)
            at += 1
        assert at > 1
    if call is not together:  # of five updates, any number may have landed
        trial.assert_whole()
    await _until(place.left, "a closed storage left a connection behind")


@pytest.mark.parametrize("when", When, ids=lambda when: when.name.lower())
async def test_a_first_call_may_be_cancelled_while_it_connects(place: Place, when: When) -> None:
    trial = _Trial(place)
    at = 1
    reached = True
    while reached:
        async with _opened(place) as storage:
            reached = await trial.cancelled(chats_on(storage).update_session("s", increment), at, when)
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
