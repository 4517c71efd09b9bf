from __future__ import annotations

import asyncio

from sessionstore import SessionManager, SessionNotFoundError, StorageProvider
from tests.conftest import OpenAnother
from tests.support.clock import ManualClock
from tests.support.documents import TTL, Chat, increment, key, put

from .conftest import Managed


async def test_a_deletion_tells_whether_a_live_session_was_deleted(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")
    first, second = await chats.delete_session("s"), await chats.delete_session("s")
    assert (first.success, first.data, second.success, second.data) == (True, True, True, False)


async def test_deleting_an_expired_session_deletes_no_live_one(chats: SessionManager[Chat], clock: ManualClock) -> None:
    await chats.create_session("s")
    clock.advance(TTL * 2)
    assert (await chats.delete_session("s")).unwrap() is False


async def test_a_deleted_session_is_gone_for_an_update(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")
    await chats.delete_session("s")
    assert isinstance((await chats.update_session("s", increment)).error, SessionNotFoundError)


async def test_of_racing_deletions_exactly_one_deletes(managed: Managed, open_another: OpenAnother) -> None:
    desks = [managed(await open_another()) for _ in range(3)]
    await desks[0].create_session("s")
    results = await asyncio.gather(*(desks[n % 3].delete_session("s") for n in range(9)))
    assert sum(result.unwrap() for result in results) == 1


async def test_a_batch_deletes_in_order_and_a_repeated_key_once(storage: StorageProvider) -> None:
    await put(storage, "a", "b", "c")
    assert list(await storage.delete_many([key("b"), key("x"), key("a"), key("b")])) == [True, False, True, False]
    assert list(await storage.exists_many([key("a"), key("b"), key("c")])) == [False, False, True]


async def test_deleting_removes_an_expired_row_too(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s")
    clock.advance(TTL * 2)
    assert not await storage.delete(key())
    assert await storage.count_expired() == 0


async def test_a_session_that_never_expires_is_deleted_as_a_live_one(storage: StorageProvider) -> None:
    await put(storage, "a", "b", "c", "d", ttl=None)
    assert await storage.delete(key("a"))
    assert list(await storage.delete_many([key("b"), key("c")])) == [True, True]
    assert await storage.clear() == 1
