"""Callers whose time is up before anything can have landed: they are told that nothing was written, and nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import psycopg
import pytest

from sessionstore import (
    SessionManager,
    SqlStorageProvider,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
    open_storage,
)
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import Chat, increment, new_chat
from tests.support.bystander import dsn, locked, until

Call: TypeAlias = Callable[[SessionManager[Chat], str, timedelta], Awaitable[object]]


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(url, pool_size=4) as storage:
        assert isinstance(storage, SqlStorageProvider)
        yield storage


@pytest.fixture
async def chats(storage: SqlStorageProvider) -> SessionManager[Chat]:
    chats = SessionManager(new_chat, storage, "chat")
    (await chats.create_session("source", items=[1])).unwrap()
    return chats


@contextmanager
def inserting(postgres: Database, session_ids: Sequence[str]) -> Iterator[psycopg.Connection]:
    """Another transaction that has inserted the sessions and does not commit."""
    with closing(psycopg.connect(dsn(postgres.url))) as other:
        columns = "namespace, session_id, state, version, created_at, updated_at, last_accessed_at"
        made = f"INSERT INTO sessionstore.sessions ({columns}) SELECT 'chat', id, '{{}}', 1, now(), now(), now()"
        other.execute(f"{made} FROM unnest(%s::text[]) AS id".encode(), [list(session_ids)])
        yield other


CREATING: dict[str, Call] = {
    "create": lambda chats, name, timeout: chats.create_session(name, timeout=timeout),
    "create with items": lambda chats, name, timeout: chats.create_session(name, items=[1], timeout=timeout),
    "append": lambda chats, name, timeout: chats.append_items(name, [1], create=True, timeout=timeout),
    "append and trim": lambda chats, name, timeout: trimming(chats).append_items(
        name, [1], create=True, timeout=timeout
    ),
    "fork": lambda chats, name, timeout: chats.fork_session("source", name, timeout=timeout),
}


def trimming(chats: SessionManager[Chat]) -> SessionManager[Chat]:
    return SessionManager(new_chat, chats._storage, "chat", keep_items=5)


@pytest.mark.parametrize("way", CREATING)
async def test_a_wait_for_an_uncommitted_insert_ends_with_nothing_written(
    chats: SessionManager[Chat], postgres: Database, way: str
) -> None:
    names = [f"new{number}" for number in range(6)]
    with inserting(postgres, names) as other:
        # The time of each is up at another place, after its first attempt was refused (0.1 s, in batches more).
        calls = [CREATING[way](chats, name, timedelta(seconds=2.5 + at / 20)) for at, name in enumerate(names)]
        told = await asyncio.gather(*calls, return_exceptions=True)
        other.rollback()
    assert [type(it) for it in told] == [StorageUnavailableError] * len(names)
    assert all("nothing was written" in str(it) for it in told)
    await until(postgres, _QUIET)
    assert [info.session_id for info in (await chats.list_sessions()).sessions] == ["source"]


@pytest.mark.parametrize("way", CREATING)
async def test_a_call_that_waited_for_an_uncommitted_insert_lands_once_the_session_is_free(
    chats: SessionManager[Chat], postgres: Database, way: str
) -> None:
    with inserting(postgres, ["new"]) as other:
        waiting = asyncio.ensure_future(CREATING[way](chats, "new", timedelta(seconds=20)))
        await asyncio.wait([waiting], timeout=0.5)
        assert not waiting.done()
        other.rollback()
        result: Any = await waiting
    assert result.success
    assert result.created
    read = await chats.get_session("new", last_items=9)
    assert len(read.items) == (0 if way == "create" else 1)


EDITING: dict[str, Call] = {
    "update": lambda chats, name, timeout: chats.update_session(name, increment, timeout=timeout),
    "update with items": lambda chats, name, timeout: chats.update_session(
        name, increment, append=[2], timeout=timeout
    ),
    "append": lambda chats, name, timeout: chats.append_items(name, [2], timeout=timeout),
    "append and trim": lambda chats, name, timeout: trimming(chats).append_items(name, [2], timeout=timeout),
    "pop": lambda chats, name, timeout: chats.pop_items(name, timeout=timeout),
    "replace": lambda chats, name, timeout: chats.replace_items(name, [3], timeout=timeout),
    "trim": lambda chats, name, timeout: chats.trim_items(name, 0, timeout=timeout),
    "delete": lambda chats, name, timeout: chats.delete_session(name, timeout=timeout),
}


@pytest.mark.parametrize("way", EDITING)
async def test_a_wait_for_a_held_row_ends_with_nothing_written(
    chats: SessionManager[Chat], postgres: Database, way: str
) -> None:
    names = [f"held{number}" for number in range(6)]
    for name in names:
        (await chats.create_session(name, items=[1])).unwrap()
    with locked(postgres, *names):
        calls = [EDITING[way](chats, name, timedelta(seconds=0.8 + at / 20)) for at, name in enumerate(names)]
        told = await asyncio.gather(*calls, return_exceptions=True)
    # Updates are tried in single statements, and a time that is up in the middle of one is told as unknown.
    known = [it for it in told if not (way.startswith("update") and isinstance(it, UpdateOutcomeUnknownError))]
    assert known
    assert all(type(it) is StorageUnavailableError and "nothing was written" in str(it) for it in known)
    await until(postgres, _QUIET)
    for name in names:
        read = await chats.get_session(name, last_items=9)
        assert (read.unwrap()["n"], [item.data for item in read.items]) == (0, [1])


_QUIET = """
SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
AND state <> 'idle' AND backend_type = 'client backend'
"""
