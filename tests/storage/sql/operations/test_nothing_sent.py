"""Calls whose time is up before anything was sent, or while a row is held, say that nothing was written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from sessionstore import (
    SessionManager,
    SqlStorageProvider,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
    open_storage,
)
from sessionstore.storage.sql.connections.lease import Lease
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import Chat, increment, new_chat
from tests.support.bystander import ask, locked

MOMENT = timedelta(milliseconds=200)


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(url, pool_size=1, max_overflow=0) as storage:
        assert isinstance(storage, SqlStorageProvider)
        yield storage


@pytest.fixture
async def chats(storage: SqlStorageProvider) -> SessionManager[Chat]:
    chats = SessionManager(new_chat, storage, "chat")
    for name in ("s", "t"):
        await chats.create_session(name)
    await chats.update_session("s", increment)
    return chats


async def test_without_a_free_connection_nothing_was_written(
    chats: SessionManager[Chat], storage: SqlStorageProvider
) -> None:
    taken, over = asyncio.Event(), asyncio.Event()

    async def occupy(_: Lease) -> None:
        taken.set()
        await over.wait()

    busy = asyncio.ensure_future(storage._gateway.run(occupy, writing=True))
    await taken.wait()
    calls = [
        chats.create_session("new", timeout=MOMENT),
        chats.delete_session("s", timeout=MOMENT),
        chats.update_session("t", increment, timeout=MOMENT),
        chats.update_session("s", increment, timeout=MOMENT),
        chats.update_session("s", increment, timeout=MOMENT),
    ]
    told = await asyncio.gather(*calls, return_exceptions=True)
    over.set()
    await busy
    assert [type(error) for error in told] == [StorageUnavailableError] * 5
    assert all("nothing was written" in str(error) for error in told)
    assert (await chats.create_session("new")).created
    assert [(await chats.get_session(name)).unwrap()["n"] for name in "st"] == [1, 0]


@pytest.mark.parametrize("way", ["update", "append", "both"])
async def test_a_call_that_gave_up_without_a_connection_is_not_written_with_the_calls_beside_it(
    chats: SessionManager[Chat], storage: SqlStorageProvider, way: str
) -> None:
    async def call(name: str, timeout: timedelta | None = None) -> object:  # noqa: ASYNC109
        if way == "append":
            return await chats.append_items(name, [name], timeout=timeout)
        return await chats.update_session(name, increment, append=[name] if way == "both" else (), timeout=timeout)

    names = [f"n{number}" for number in range(8)]
    for name in names:
        await chats.create_session(name)
    for name in names:
        await chats.update_session(name, increment)  # the next update begins with the write cache
    taken, over = asyncio.Event(), asyncio.Event()

    async def occupy(_: Lease) -> None:
        taken.set()
        await over.wait()

    busy = asyncio.ensure_future(storage._gateway.run(occupy, writing=True))
    await taken.wait()
    staying = [asyncio.ensure_future(call(name)) for name in names[:6]]
    leaving = [asyncio.ensure_future(call(name, MOMENT)) for name in names[6:]]
    told = await asyncio.gather(*leaving, return_exceptions=True)
    over.set()
    await busy
    async with asyncio.timeout(10):
        await asyncio.gather(*staying)
    found = [await chats.get_session(name, last_items=9) for name in names]
    landed = [(it.unwrap()["n"], len(it.items)) for it in found]
    assert landed[:6] == [(1 if way == "append" else 2, 0 if way == "update" else 1)] * 6
    for error, it in zip(told, landed[6:], strict=True):
        assert isinstance(error, (StorageUnavailableError, UpdateOutcomeUnknownError))
        if isinstance(error, StorageUnavailableError):
            assert it == (1, 0)


async def told_unwritten(make: Callable[[], Awaitable[object]]) -> bool:
    """Whether a call says that nothing was written: unless the time is up while a statement is under way."""
    for _ in range(20):
        try:
            await make()
        except UpdateOutcomeUnknownError:
            continue
        except StorageUnavailableError as error:
            return "nothing was written" in str(error)
    return False


async def test_a_timeout_while_another_transaction_holds_the_row_says_that_nothing_was_written(
    chats: SessionManager[Chat], postgres: Database
) -> None:
    ask(postgres, "UPDATE sessionstore.sessions SET expires_at = now() - interval '1 hour' WHERE session_id = 't'")
    with locked(postgres, "s", "t"):
        assert await told_unwritten(lambda: chats.delete_session("s", timeout=MOMENT))
        assert await told_unwritten(lambda: chats.create_session("t", timeout=MOMENT))
        assert await told_unwritten(lambda: chats.update_session("s", increment, timeout=MOMENT))
    assert (await chats.create_session("t")).created
    assert (await chats.get_session("s")).unwrap()["n"] == 1
