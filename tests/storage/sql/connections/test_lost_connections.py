"""Connections that break, and calls that are given up in the middle of a statement."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import text

from sessionstore import (
    SessionManager,
    SqlStorageProvider,
    StorageError,
    StorageProvider,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
    open_storage,
)
from sessionstore.storage import Document
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import Chat, draft, increment, key, new_chat, rewrite
from tests.support.bystander import ask, backends, kill_connections, until, until_blocked, until_quiet, unwritable
from tests.support.discretion import SECRET, say_more, secretive
from tests.support.opening import WAYS, disconnect, in_use, opened, pool_of

Call: TypeAlias = Callable[[StorageProvider], Awaitable[Any]]


@pytest.fixture(params=WAYS)
async def storage(request: pytest.FixtureRequest, url: str) -> AsyncIterator[SqlStorageProvider]:
    # Calls that come at once shall each need a connection here.
    async with opened(request.param, url, pool_size=4, batching=None) as storage:
        yield storage


@pytest.fixture
def chats(storage: StorageProvider) -> SessionManager[Chat]:
    return SessionManager(new_chat, storage, namespace="chat")


async def _fill_pool(chats: SessionManager[Chat], postgres: Database) -> None:
    """Makes all four connections of the pool, and leaves them idle."""
    await chats.create_session("s")
    await asyncio.gather(*(chats.get_session("s") for _ in range(8)))
    assert len(backends(postgres)) >= 4


_READS: dict[str, Call] = {
    "get": lambda storage: storage.get(key(), touch=False),
    "list": lambda storage: storage.list(),
}
_WRITES: dict[str, Call] = {
    "update_locked": lambda storage: storage.update_locked(key(), rewrite),
}


@pytest.mark.parametrize("call", _READS.values(), ids=_READS)
async def test_a_read_does_not_mind_that_its_connections_were_killed(
    storage: SqlStorageProvider, chats: SessionManager[Chat], postgres: Database, call: Call
) -> None:
    await _fill_pool(chats, postgres)
    before = await call(storage)
    assert kill_connections(postgres) >= 4
    assert await call(storage) == before
    assert await asyncio.gather(*(call(storage) for _ in range(8))) == [before] * 8
    assert in_use(storage) == 0


@pytest.mark.parametrize("call", _WRITES.values(), ids=_WRITES)
async def test_a_write_on_a_killed_connection_is_reported_and_the_next_one_works(
    storage: SqlStorageProvider, chats: SessionManager[Chat], postgres: Database, call: Call
) -> None:
    await _fill_pool(chats, postgres)
    assert kill_connections(postgres) >= 4
    with pytest.raises((UpdateOutcomeUnknownError, StorageUnavailableError)):
        await call(storage)
    assert (await chats.create_session("after")).created
    assert (await chats.update_session("after", increment)).unwrap()["n"] == 1
    assert in_use(storage) == 0
    assert pool_of(storage).size() == 4


async def test_a_creation_on_a_killed_connection_creates(
    storage: SqlStorageProvider, chats: SessionManager[Chat], postgres: Database
) -> None:
    await _fill_pool(chats, postgres)
    assert kill_connections(postgres) >= 4
    assert (await chats.create_session("new")).created
    kill_connections(postgres)
    assert not (await chats.create_session("new")).created
    assert in_use(storage) == 0


async def test_a_set_on_a_killed_connection_sets(
    storage: SqlStorageProvider, chats: SessionManager[Chat], postgres: Database
) -> None:
    await _fill_pool(chats, postgres)
    for renew in (False, True):
        kill_connections(postgres)
        summary = await storage.set(draft(state='{"n": 7}'), renew=renew)
        assert await storage.get(key(), touch=False) == Document('{"n": 7}', summary)
    assert in_use(storage) == 0


async def test_a_deletion_on_a_killed_connection_deletes(
    storage: SqlStorageProvider, chats: SessionManager[Chat], postgres: Database
) -> None:
    await _fill_pool(chats, postgres)
    assert kill_connections(postgres) >= 4
    assert (await chats.delete_session("s")).data is True
    kill_connections(postgres)
    assert (await chats.delete_session("s")).data is False
    assert in_use(storage) == 0


async def test_an_update_whose_connection_is_killed_before_it_is_written_is_applied_once(
    storage: SqlStorageProvider, chats: SessionManager[Chat], postgres: Database
) -> None:
    await _fill_pool(chats, postgres)
    killed: list[int] = []

    def kill_once_and_increment(state: Chat) -> None:
        if not killed:
            killed.append(kill_connections(postgres))
        increment(state)

    assert (await chats.update_session("s", kill_once_and_increment)).unwrap()["n"] == 1
    assert (await chats.update_session("s", increment)).unwrap()["n"] == 2
    assert in_use(storage) == 0


async def test_a_set_whose_connection_is_killed_in_the_middle_lands_once(
    storage: SqlStorageProvider, postgres: Database
) -> None:
    before = await storage.set(draft("secret"))
    with unwritable(postgres):
        writing = asyncio.ensure_future(storage.set(draft("secret", f'{{"said": "{SECRET}"}}')))
        await until_blocked(postgres)
        query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        assert ask(postgres, f"{query} AND datname = current_database()") == [(True,)]
    assert (await writing).version == before.version + 1
    assert in_use(storage) == 0


async def test_an_update_whose_connection_is_killed_in_the_middle_of_the_write_is_applied_once(
    storage: SqlStorageProvider, postgres: Database
) -> None:
    await secretive(storage).create_session("secret")
    with unwritable(postgres):
        writing = asyncio.create_task(secretive(storage).update_session("secret", say_more))
        await until_blocked(postgres)
        query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        assert ask(postgres, f"{query} AND datname = current_database()") == [(True,)]
        await until_blocked(postgres)  # again, on another connection
    assert (await writing).unwrap() == {"said": 2 * SECRET}
    assert in_use(storage) == 0


_BLOCKED: dict[str, Call] = {
    "update": lambda storage: secretive(storage).update_session("s", say_more),
    "update_locked": lambda storage: storage.update_locked(key(), rewrite),
}


@pytest.mark.parametrize("call", _BLOCKED.values(), ids=_BLOCKED)
async def test_a_call_cancelled_in_the_middle_of_a_statement_gives_its_connection_back(
    storage: SqlStorageProvider, postgres: Database, call: Call
) -> None:
    await secretive(storage).create_session("s")
    version = (await secretive(storage).get_session("s")).version
    with unwritable(postgres):
        tasks = [asyncio.ensure_future(call(storage)) for _ in range(4)]
        await until_blocked(postgres, 4)
        for task in tasks:
            task.cancel()
        assert [type(end) for end in await asyncio.gather(*tasks, return_exceptions=True)] == [
            asyncio.CancelledError
        ] * 4
        assert in_use(storage) == 0
        # Not one of them waits on in the server, to be done when nobody expects it any more.
        await until(postgres, "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    await until_quiet(postgres)
    found = await asyncio.gather(*(secretive(storage).get_session("s") for _ in range(8)))
    assert {result.version for result in found} == {version}
    assert (await secretive(storage).update_session("s", say_more)).success


async def test_a_call_cancelled_while_it_waits_for_a_connection_takes_none(url: str, postgres: Database) -> None:
    async with open_storage(url, pool_size=1) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await secretive(storage).create_session("s")
        with unwritable(postgres):
            holding = asyncio.ensure_future(secretive(storage).update_session("s", say_more))
            await until_blocked(postgres)
            waiting = asyncio.ensure_future(secretive(storage).get_session("s"))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert (await holding).success
        assert in_use(storage) == 0
        assert (await secretive(storage).get_session("s")).success


async def test_a_sqlite_call_cancelled_while_others_write_gives_its_connection_back(
    sqlite_template: Path, tmp_path: Path
) -> None:
    file = copied_file(sqlite_template, tmp_path / "sessions.db")
    async with open_storage(sqlite_url(file)) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await secretive(storage).create_session("s")
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            tasks = [asyncio.ensure_future(secretive(storage).delete_session("s")) for _ in range(3)]
            # Whether they have come as far as the lock nobody tells; the promise does not depend on it.
            await asyncio.sleep(0.02)
            for task in tasks:
                task.cancel()
            other.execute("COMMIT")
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} == {asyncio.CancelledError}
        assert in_use(storage) == 0
        await secretive(storage).create_session("s")
        assert (await secretive(storage).update_session("s", say_more)).success


async def test_a_closed_provider_leaves_the_engine_of_the_service_open(url: str) -> None:
    async with opened("service-engine", url) as storage:
        await secretive(storage).create_session("s")
        await storage.close()
        with pytest.raises(StorageError, match="closed"):
            await secretive(storage).get_session("s")
        async with storage._gateway._async_engine.connect() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM sessionstore.sessions"))).scalar() == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_disposed_engine_connects_anew(url: str, way: str) -> None:
    async with opened(way, url) as storage:
        await secretive(storage).create_session("s")
        await disconnect(storage)
        assert (await secretive(storage).update_session("s", say_more)).success
