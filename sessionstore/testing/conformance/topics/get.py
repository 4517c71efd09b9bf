"""Reads: they change no version, and return the state of no other session."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sessionstore import SessionManager, SessionNotFoundError, StorageProvider

from ...clock import ManualClock
from ...support.documents import MOMENT, TTL, Chat, draft, increment, key, put, set_to
from ..given import Managed, OpenAnother


async def test_a_read_slides_the_expiry(chats: SessionManager[Chat], clock: ManualClock) -> None:
    await chats.create_session("s")
    clock.advance(TTL)
    read = (await chats.get_session("s")).metadata
    assert read is not None
    assert read.expires_at is not None
    assert read.expires_at >= clock() + TTL
    clock.now = read.expires_at - MOMENT
    assert (await chats.get_session("s")).success


async def test_a_read_without_touch_changes_nothing(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s")
    before = await storage.get(key(), touch=False)
    clock.advance(TTL)
    assert await storage.get(key(), touch=False) == before
    clock.advance(TTL / 10)
    assert await storage.get(key(), touch=False) is None


async def test_a_read_never_changes_the_version(chats: SessionManager[Chat], clock: ManualClock) -> None:
    version = (await chats.create_session("s")).version
    for _ in range(3):
        clock.advance(TTL)
        assert (await chats.get_session("s")).version == version


async def test_a_read_never_overwrites_a_concurrent_write(
    managed: Managed, open_another: OpenAnother, clock: ManualClock
) -> None:
    reader, writer = managed(), managed(await open_another())
    await reader.create_session("s")
    for _ in range(5):
        clock.advance(TTL)  # each read then has an expiry to move
        await asyncio.gather(*(reader.get_session("s") for _ in range(3)), writer.update_session("s", increment))
    assert (await reader.get_session("s")).unwrap()["n"] == 5


async def test_each_reader_gets_a_state_of_its_own(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")
    reads = [read.unwrap() for read in await asyncio.gather(*(chats.get_session("s") for _ in range(4)))]
    reads[0]["turns"].append("only mine")
    assert [read["turns"] for read in reads[1:]] == [[], [], []]
    assert (await chats.get_session("s")).unwrap()["turns"] == []


async def test_a_session_that_never_existed_is_not_found(chats: SessionManager[Chat]) -> None:
    missing = await chats.get_session("s")
    assert (missing.success, missing.data, missing.created, missing.session_id) == (False, None, False, "s")
    assert isinstance(missing.error, SessionNotFoundError)
    with pytest.raises(SessionNotFoundError):
        missing.unwrap()


async def test_a_deleted_session_is_not_found(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")
    await chats.delete_session("s")
    assert isinstance((await chats.get_session("s")).error, SessionNotFoundError)


@pytest.mark.parametrize("touch", [True, False])
async def test_an_expired_session_is_not_found(chats: SessionManager[Chat], clock: ManualClock, *, touch: bool) -> None:
    await chats.create_session("s")
    clock.advance(TTL * 2)
    assert isinstance((await chats.get_session("s", touch=touch)).error, SessionNotFoundError)


async def test_the_times_of_a_session_are_aware_and_in_utc(chats: SessionManager[Chat], clock: ManualClock) -> None:
    created_at = clock()
    await chats.create_session("s")
    clock.advance(timedelta(minutes=1))
    updated_at = clock()
    await chats.update_session("s", set_to(1))
    clock.advance(timedelta(minutes=10))
    read = (await chats.get_session("s")).metadata
    assert read is not None
    assert (read.created_at, read.updated_at) == (created_at, updated_at)
    assert clock() - TTL / 10 <= read.last_accessed_at <= clock()
    times = [read.created_at, read.updated_at, read.last_accessed_at, read.expires_at]
    assert [time.utcoffset() for time in times if time] == [timedelta(0)] * 4


async def test_a_later_read_finds_the_last_access_to_a_tenth_of_the_ttl(
    chats: SessionManager[Chat], clock: ManualClock
) -> None:
    await chats.create_session("s")
    for _ in range(20):
        clock.advance(TTL / 30)
        await chats.get_session("s")
        looked = (await chats.get_session("s", touch=False)).metadata
        assert looked is not None
        assert clock() - TTL / 10 <= looked.last_accessed_at <= clock()


async def test_a_batch_is_read_in_order_with_absent_and_repeated_keys(storage: StorageProvider) -> None:
    await storage.create_many([draft("a", '{"n":1}'), draft("b", '{"n":2}')])
    for touch in (True, False):
        read = await storage.get_many([key("b"), key("x"), key("a"), key("b")], touch=touch)
        assert [document and document.summary.key for document in read] == [key("b"), None, key("a"), key("b")]
        assert [document and document.state.replace(" ", "") for document in read] == [
            '{"n":2}',
            None,
            '{"n":1}',
            '{"n":2}',
        ]


async def test_a_long_batch_is_read_like_a_short_one(storage: StorageProvider) -> None:
    names = [f"s{n:04}" for n in range(1200)]
    await put(storage, *names)
    read = await storage.get_many([key(name) for name in reversed(names)])
    assert [document and document.summary.key.session_id for document in read] == names[::-1]


@pytest.mark.parametrize("touch", [False, True])
async def test_a_read_tells_when_the_storage_read_the_session(
    chats: SessionManager[Chat], clock: ManualClock, touch: bool
) -> None:
    created = await chats.create_session("s")
    clock.advance(TTL / 2)
    read = await chats.get_session("s", touch=touch)
    assert (created.read_at, read.read_at) == (None, clock())


async def test_documents_with_the_same_stored_content_are_equal(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s")
    first = await storage.get(key(), touch=False)
    clock.advance(TTL / 2)
    second = await storage.get(key(), touch=False)
    assert first is not None
    assert second is not None
    assert (first == second, first != second, second.read_at) == (True, False, clock())
    assert first != first._replace(state="[]")
