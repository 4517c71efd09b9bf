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
from tests.support.bystander import ask, locked
from tests.support.documents import Chat, increment, new_chat
from tests.support.postgres import Database

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
