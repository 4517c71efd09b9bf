"""Calls that go together on PostgreSQL while something goes wrong for one of them, or for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sessionstore import SessionManager, SqlStorageProvider, StorageError, open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import Chat, increment, key, new_chat
from tests.support.bystander import ask, locked, set_for_everybody, until, until_blocked, until_quiet, unwritable
from tests.support.opening import WAYS, in_use, opened

NAMES = [f"s{n}" for n in range(6)]


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        yield storage


@pytest.fixture
async def chats(storage: SqlStorageProvider) -> SessionManager[Chat]:
    """A manager with the sessions of NAMES, and two more."""
    chats = SessionManager(new_chat, storage, "chat")
    for name in ("x", "y", *NAMES):
        await chats.create_session(name)
    return chats


def shout(state: Chat) -> None:
    state["n"] = 1_000_000


def _batch(chats: SessionManager[Chat], *names: str) -> list[asyncio.Task[Any]]:
    """Updates of two sessions, which go alone, and of these sessions, which go in one batch behind them."""
    return [asyncio.ensure_future(chats.update_session(name, increment)) for name in ("x", "y", *names)]


async def test_a_state_that_the_database_refuses_fails_only_its_caller(
    chats: SessionManager[Chat], postgres: Database
) -> None:
    ask(postgres, "ALTER TABLE sessionstore.sessions ADD CONSTRAINT quiet CHECK ((state ->> 'n')::int < 1000)")
    changes = [increment, increment, shout, increment, shout]
    calls = [chats.update_session(name, change) for change in changes for name in ("x", "y", *NAMES[:3])]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert [(type(error), getattr(error, "code", None)) for error in refused] == [(StorageError, "23514")] * 10
    assert len(set(map(id, refused))) == 10
    counts = [result.unwrap()["n"] for result in results if not isinstance(result, BaseException)]
    assert counts == [1] * 5 + [2] * 5 + [3] * 5
    assert [(await chats.get_session(name)).unwrap()["n"] for name in ("x", "y", *NAMES[:3])] == [3] * 5


async def test_a_row_that_a_trigger_refuses_fails_only_its_session(
    chats: SessionManager[Chat], postgres: Database
) -> None:
    function = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'"
    ask(postgres, function)
    ask(
        postgres,
        "CREATE TRIGGER refusing BEFORE UPDATE ON sessionstore.sessions FOR EACH ROW "
        "WHEN (OLD.session_id = 's3') EXECUTE FUNCTION refuse()",
    )
    results = await asyncio.gather(*_batch(chats, *NAMES, "s3"), return_exceptions=True)
    assert [getattr(results[n], "code", None) for n in (5, 8)] == ["P0001", "P0001"]
    landed = [result.unwrap()["n"] for result in results if not isinstance(result, BaseException)]
    assert landed == [1] * 7
    ask(postgres, "DROP TRIGGER refusing ON sessionstore.sessions")
    assert (await chats.update_session("s3", increment)).unwrap()["n"] == 1


async def test_a_connection_killed_while_a_batch_is_written_loses_none_of_it_and_doubles_none(
    storage: SqlStorageProvider, chats: SessionManager[Chat], postgres: Database
) -> None:
    with unwritable(postgres):
        tasks = _batch(chats, *NAMES, "s3", "s5")
        await until_blocked(postgres, 3)
        query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        assert set(ask(postgres, f"{query} AND datname = current_database()")) == {(True,)}
        await until_blocked(postgres, 3)  # again, on other connections
    assert [result.unwrap()["n"] for result in await asyncio.gather(*tasks)] == [1] * 8 + [2] * 2
    results = await asyncio.gather(*(chats.update_session(name, increment) for name in NAMES))
    assert [result.unwrap()["n"] for result in results] == [2, 2, 2, 3, 2, 3]
    assert in_use(storage) == 0


async def test_a_row_that_another_transaction_holds_delays_only_its_writers(
    storage: SqlStorageProvider, chats: SessionManager[Chat], postgres: Database
) -> None:
    with locked(postgres, "s3"):
        tasks = _batch(chats, *NAMES, "s3", "s3")
        others = [task for n, task in enumerate(tasks) if n not in (5, 8, 9)]
        assert [result.unwrap()["n"] for result in await asyncio.gather(*others)] == [1] * 7
        await until_blocked(postgres)
        tasks[8].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[8]
        assert [tasks[n].done() for n in (5, 9)] == [False, False]
    # Whether the one that was cancelled had been applied already nobody promises.
    assert [(await tasks[n]).success for n in (5, 9)] == [True, True]
    assert (await chats.get_session("s3")).unwrap()["n"] in (2, 3)
    await until_quiet(postgres)
    assert in_use(storage) == 0


async def test_an_update_cancelled_while_it_waits_for_another_of_its_session_is_not_applied(
    chats: SessionManager[Chat], postgres: Database
) -> None:
    with locked(postgres, "s0"):
        first = asyncio.ensure_future(chats.update_session("s0", increment))
        await until_blocked(postgres)
        cancelled, last = [asyncio.ensure_future(chats.update_session("s0", change)) for change in (shout, increment)]
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    assert [(await call).unwrap()["n"] for call in (first, last)] == [1, 2]


async def test_a_lone_update_that_is_cancelled_does_not_stop_those_behind_it(
    chats: SessionManager[Chat], postgres: Database
) -> None:
    with locked(postgres, "s0"):
        lone = asyncio.ensure_future(chats.update_session("s0", shout))
        await until_blocked(postgres)
        behind = asyncio.ensure_future(chats.update_session("s0", increment))
        await asyncio.sleep(0)
        lone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lone
        # It was given up in the server too, or what is behind it might meet it there.
        await until(postgres, "SELECT count(*) <= 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    assert (await behind).unwrap()["n"] == 1


@pytest.mark.parametrize("way", WAYS)
async def test_closing_finishes_or_fails_all_calls_and_drops_none(url: str, postgres: Database, way: str) -> None:
    async with opened(way, url) as storage:
        chats = SessionManager(new_chat, storage, "chat")
        await chats.create_session("s")
        with locked(postgres, "s"):
            updates = [asyncio.ensure_future(chats.update_session("s", increment)) for _ in range(5)]
            await until_blocked(postgres)
            reads = [asyncio.ensure_future(storage.get(key("s"))) for _ in range(5)]
            touches = [asyncio.ensure_future(storage.touch(key("s"))) for _ in range(5)]
            await asyncio.sleep(0)
            await storage.close()
        async with asyncio.timeout(20):
            ends = await asyncio.gather(*updates, *reads, *touches, return_exceptions=True)
    failed = [end for end in ends if isinstance(end, BaseException)]
    assert {type(error) for error in failed} == {StorageError}
    assert len(set(map(id, failed))) == len(failed)
    # The one that was under way is finished, and those behind it are not begun.
    assert [isinstance(end, BaseException) for end in ends[:5]] == [False, True, True, True, True]
    assert ask(postgres, "SELECT (state ->> 'n')::int FROM sessionstore.sessions") == [(1,)]


@pytest.mark.usefixtures("chats")
async def test_a_row_that_takes_too_long_fails_only_its_callers(url: str, postgres: Database) -> None:
    ask(
        postgres,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NEW; END'",
    )
    ask(
        postgres,
        "CREATE TRIGGER slow BEFORE UPDATE ON sessionstore.sessions FOR EACH ROW "
        "WHEN (OLD.session_id = 's3') EXECUTE FUNCTION slow()",
    )
    set_for_everybody(postgres, "statement_timeout = '300ms'")
    async with open_storage(url) as storage:
        others: SessionManager[Chat] = SessionManager(new_chat, storage, "chat")
        calls = [others.update_session(name, increment) for name in ("x", "y", *NAMES, "s3")]
        told: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    assert [getattr(told[n], "code", None) for n in (5, 8)] == ["57014", "57014"]
    assert [result.unwrap()["n"] for n, result in enumerate(told) if n not in (5, 8)] == [1] * 7
