"""Deletions, also of a session that other callers use at the same time."""

from __future__ import annotations

import asyncio

import pytest

from sessionstore import ConfigurationError, SessionConflictError, SessionManager, SessionNotFoundError, StorageProvider

from ...clock import ManualClock
from ...support.documents import TTL, Chat, draft, increment, key, put
from ..given import Managed, OpenAnother


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


async def test_exactly_one_of_racing_deletions_deletes(managed: Managed, open_another: OpenAnother) -> None:
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


async def test_the_deletion_of_a_session_that_never_expires_counts_as_of_a_live_one(storage: StorageProvider) -> None:
    await put(storage, "a", "b", "c", "d", ttl=None)
    assert await storage.delete(key("a"))
    assert list(await storage.delete_many([key("b"), key("c")])) == [True, True]
    assert await storage.clear() == 1


async def test_a_session_is_deleted_only_at_the_expected_version(chats: SessionManager[Chat]) -> None:
    seen = (await chats.create_session("s")).version
    assert seen is not None
    written = (await chats.update_session("s", increment)).version
    refused = await chats.delete_session("s", expected_version=seen)
    assert isinstance(refused.error, SessionConflictError)
    assert (refused.error.expected, refused.error.actual) == (seen, written)
    assert (await chats.get_session("s")).unwrap()["n"] == 1
    assert (await chats.delete_session("s", expected_version=written)).unwrap() is True
    assert (await chats.delete_session("s", expected_version=written)).unwrap() is False


async def test_the_version_of_a_deleted_session_deletes_no_later_session_of_that_id(
    chats: SessionManager[Chat],
) -> None:
    seen = (await chats.create_session("s")).version
    await chats.delete_session("s")
    await chats.create_session("s")
    assert isinstance((await chats.delete_session("s", expected_version=seen)).error, SessionConflictError)
    assert (await chats.get_session("s")).success


@pytest.mark.parametrize("version", [0, -1, 2**63, 2**400])
async def test_a_version_that_no_session_can_have_deletes_nothing(chats: SessionManager[Chat], version: int) -> None:
    await chats.create_session("s")
    assert isinstance((await chats.delete_session("s", expected_version=version)).error, SessionConflictError)


async def test_an_expected_version_that_is_no_number_is_refused(chats: SessionManager[Chat]) -> None:
    with pytest.raises(ConfigurationError, match="expected_version"):
        await chats.delete_session("s", expected_version="1")  # type: ignore[arg-type]


async def test_deletions_at_an_expected_version_lose_no_concurrent_update(
    managed: Managed, open_another: OpenAnother
) -> None:
    desks = [managed(await open_another()) for _ in range(2)]
    for n in range(10):
        seen = (await desks[0].create_session(f"s{n}")).version
        updated, deleted = await asyncio.gather(
            desks[0].update_session(f"s{n}", increment), desks[1].delete_session(f"s{n}", expected_version=seen)
        )
        assert updated.success is (not deleted.success)
        assert (await desks[0].get_session(f"s{n}")).success is updated.success


async def test_each_key_of_a_batch_has_its_own_expected_version(storage: StorageProvider) -> None:
    found = [(await storage.create(draft(name))).document.summary.version for name in "abc"]
    versions = [found[0], found[1] + 1, None]
    assert list(await storage.delete_many([key("a"), key("b"), key("c")], versions=versions)) == [True, False, True]
    assert list(await storage.exists_many([key("a"), key("b"), key("c")])) == [False, True, False]


async def test_all_sessions_of_an_owner_or_a_prefix_are_deleted_and_no_others(
    managed: Managed, clock: ManualClock
) -> None:
    chats, other = managed(), managed(namespace="other")
    await chats.create_session("ann-0", owner_id="ann")
    clock.advance(TTL * 2)
    for desk in (chats, other):
        for name, owner in (("ann-1", "ann"), ("ann-2", "ann"), ("bob-1", "bob"), ("bob-2", None)):
            await desk.create_session(name, owner_id=owner)
    assert await chats.delete_sessions(owner_id="ann", prefix="ann-2") == 1
    assert await chats.delete_sessions(owner_id="ann") == 1
    assert await chats.delete_sessions(prefix="bob-") == 2
    assert await chats.delete_sessions(prefix="bob-") == 0
    assert [(await other.get_session(name)).success for name in ("ann-1", "ann-2", "bob-1", "bob-2")] == [True] * 4


async def test_deleting_all_sessions_needs_an_owner_or_a_prefix(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")
    for wrong in ({}, {"prefix": ""}, {"owner_id": ""}, {"prefix": "a\x00"}, {"prefix": 1}):
        with pytest.raises(ConfigurationError):
            await chats.delete_sessions(**wrong)
    assert (await chats.get_session("s")).success
