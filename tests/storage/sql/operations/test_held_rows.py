"""Rows that other transactions hold delay the calls on their own sessions only."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import psycopg
import pytest

from sessionstore import (
    Batching,
    SessionManager,
    SessionResult,
    SqlStorageProvider,
    StorageUnavailableError,
    open_storage,
)
from sessionstore.storage.sql.operations import rounds
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import TTL, Chat, draft, increment, key, new_chat
from tests.storage.sql.operations.held import Call, batching, chats, storage
from tests.support.bystander import ask, dsn, locked, set_for_everybody, until, until_blocked, until_quiet, unwritable
from tests.support.opening import all_given_back, in_use

__all__ = ["batching", "chats", "storage"]

_NAMES: Final = [f"s{n}" for n in range(20)]


async def _due(storage: SqlStorageProvider, postgres: Database) -> None:
    """Sessions whose expiry the next access has to move."""
    await storage.create_many([draft(name, '{"n": 0, "turns": []}') for name in _NAMES])
    ask(postgres, "UPDATE sessionstore.sessions SET expires_at = now() + interval '10 min'")


_MOVED: Final = "SELECT expires_at > now() + interval '20 min' FROM sessionstore.sessions WHERE session_id = '{}'"


@pytest.mark.parametrize("setting", ["", "lock_timeout = '50ms'", "statement_timeout = '500ms'"])
async def test_reads_are_answered_without_waiting_for_a_lock(
    url: str, postgres: Database, batching: Batching | None, setting: str
) -> None:
    if setting:
        set_for_everybody(postgres, setting)
    async with open_storage(url, batching=batching, pool_size=4) as storage:
        assert isinstance(storage, SqlStorageProvider)
        chats = SessionManager(new_chat, storage, "chat", ttl=TTL)
        await _due(storage, postgres)
        held = _NAMES[5:10]
        results: list[SessionResult[Chat]] = []
        with locked(postgres, *held):
            async with asyncio.timeout(20):
                for _ in range(3):
                    results = await asyncio.gather(*(chats.get_session(name) for name in _NAMES * 2))
                    assert all(result.success for result in results)
                assert all(await storage.touch_many([key(name) for name in _NAMES]))
            for name, result in zip(_NAMES * 2, results, strict=True):
                assert result.metadata is not None
                assert result.metadata.expires_at is not None
                left = result.metadata.expires_at - result.metadata.last_accessed_at
                assert (left > timedelta(minutes=29)) is (name not in held)
        # What could not be moved is moved now, and the session was read once more by nobody.
        for name in held:
            await until(postgres, _MOVED.format(name))


@pytest.mark.parametrize("mode", ["SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE"])
@pytest.mark.parametrize("pool_size", [1, 4])
async def test_reads_do_not_wait_for_a_table_that_nobody_may_write(
    url: str, postgres: Database, batching: Batching | None, mode: str, pool_size: int
) -> None:
    async with open_storage(url, batching=batching, pool_size=pool_size) as storage:
        assert isinstance(storage, SqlStorageProvider)
        chats = SessionManager(new_chat, storage, "chat", ttl=TTL)
        await _due(storage, postgres)
        with psycopg.connect(dsn(postgres.url)) as another:
            another.execute(f"LOCK TABLE sessionstore.sessions IN {mode} MODE".encode())
            async with asyncio.timeout(8):  # less than the bound of a statement
                for _ in range(3):
                    assert all(result.success for result in await asyncio.gather(*map(chats.get_session, _NAMES)))
                for name in _NAMES:
                    assert (await chats.get_session(name, timeout=timedelta(seconds=5))).success
                assert all(await storage.touch_many([key(name) for name in _NAMES]))
            another.rollback()
        for name in _NAMES:
            await until(postgres, _MOVED.format(name))


async def test_an_access_that_waits_for_a_table_keeps_no_connection_from_other_calls(
    url: str, postgres: Database, batching: Batching | None
) -> None:
    async with open_storage(url, batching=batching, pool_size=1) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await _due(storage, postgres)
        with unwritable(postgres):
            reading = asyncio.ensure_future(storage.get(key("s0")))
            await until_blocked(postgres)
            async with asyncio.timeout(8):
                assert await storage.exists(key("s1"))
                assert await reading is not None
        await until(postgres, _MOVED.format("s0"))


async def test_an_access_is_not_made_up_for_once_the_session_has_expired(
    storage: SqlStorageProvider, postgres: Database
) -> None:
    await _due(storage, postgres)
    ask(postgres, "UPDATE sessionstore.sessions SET expires_at = clock_timestamp() + interval '0.5 s'")
    with locked(postgres, "s0"):
        assert await storage.get(key("s0")) is not None
        await until(postgres, "SELECT max(expires_at) < clock_timestamp() FROM sessionstore.sessions")
    async with asyncio.timeout(20):
        while key("s0") in storage._reads._late.here():  # noqa: ASYNC110  # it tries in a while, and signals nothing
            await asyncio.sleep(0.01)
    assert await storage.get(key("s0")) is None


@pytest.mark.parametrize("held", [1, 8, 20])
async def test_held_rows_delay_no_other_session(
    storage: SqlStorageProvider, chats: SessionManager[Chat], postgres: Database, held: int
) -> None:
    await _due(storage, postgres)
    await chats.create_session("free")
    names = _NAMES[:held]
    with locked(postgres, *names):
        waiting = [asyncio.ensure_future(chats.update_session(name, increment)) for name in names]
        deleting = asyncio.ensure_future(chats.delete_session(names[0]))
        async with asyncio.timeout(20):
            for n in range(20):
                assert (await chats.update_session("free", increment)).unwrap()["n"] == n + 1
                assert (await chats.get_session("free")).success
                assert (await chats.create_session(f"new{n}")).created
                assert (await chats.get_session(names[-1])).success
                assert (await chats.delete_session(f"new{n}")).data
        assert not any(task.done() for task in (*waiting, deleting))
    assert all(result.success for result in await asyncio.gather(*waiting[1:]))
    assert (await deleting).success
    await asyncio.wait(waiting)
    await until_quiet(postgres)
    await all_given_back(storage)  # an access that is made up for may be under way


_WRITES: Final[dict[str, Call]] = {
    "delete": lambda storage: storage.delete(key("s0")),
    "delete_many": lambda storage: storage.delete_many([key("s0"), key("s1")]),
    "set": lambda storage: storage.set(draft("s0")),
    "set_many": lambda storage: storage.set_many([draft("s0"), draft("s1")]),
    "clear": lambda storage: storage.clear("chat"),
}


@pytest.mark.parametrize("call", _WRITES.values(), ids=list(_WRITES))
async def test_a_write_waits_for_the_row_without_a_connection_and_not_for_ever(
    storage: SqlStorageProvider, postgres: Database, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _due(storage, postgres)
    with locked(postgres, "s0"):
        monkeypatch.setattr(rounds, "HELD_SECONDS", 0.2)
        with pytest.raises(StorageUnavailableError, match="another transaction holds the row"):
            await call(storage)
        assert await storage.exists(key("s0"))
        monkeypatch.setattr(rounds, "HELD_SECONDS", 30)
        writing = asyncio.ensure_future(call(storage))
        async with asyncio.timeout(20):
            while in_use(storage):  # noqa: ASYNC110  # its rounds are short, and signal nothing
                await asyncio.sleep(0)
        assert not writing.done()
    assert await writing


async def test_an_expired_row_that_is_held_is_replaced_when_it_is_free(
    storage: SqlStorageProvider, chats: SessionManager[Chat], postgres: Database
) -> None:
    await _due(storage, postgres)
    ask(postgres, "UPDATE sessionstore.sessions SET expires_at = now() - interval '1 min'")
    with locked(postgres, "s0"):
        creating = [asyncio.ensure_future(chats.create_session("s0")) for _ in range(3)]
        async with asyncio.timeout(20):
            assert (await chats.create_session("s1")).created
        assert not any(task.done() for task in creating)
    assert sorted(result.created for result in await asyncio.gather(*creating)) == [False, False, True]
