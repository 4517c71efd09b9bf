"""A version that was read before a session ended never matches a later session of the same id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from sessionstore import SessionConflictError, SessionManager, StorageProvider
from sessionstore.storage import Write

from ...clock import ManualClock
from ...support.documents import TTL, Chat, draft, increment, key, new_chat

End = Callable[[StorageProvider, ManualClock], Awaitable[object]]


async def deleted(storage: StorageProvider, clock: ManualClock) -> None:
    await storage.delete(key())


async def cleared(storage: StorageProvider, clock: ManualClock) -> None:
    await storage.clear()


async def expired(storage: StorageProvider, clock: ManualClock) -> None:
    clock.advance(TTL * 2)


async def purged(storage: StorageProvider, clock: ManualClock) -> None:
    clock.advance(TTL * 2)
    assert await storage.purge_expired() == 1


ends = pytest.mark.parametrize("end", [deleted, cleared, expired, purged])


@ends
@pytest.mark.parametrize("writes", [0, 1, 3])
async def test_an_old_version_never_matches_a_session_created_anew(
    storage: StorageProvider, chats: SessionManager[Chat], clock: ManualClock, end: End, writes: int
) -> None:
    old = await chats.create_session("s")
    for _ in range(writes):
        old = await chats.update_session("s", increment)
    await end(storage, clock)
    new = await chats.create_session("s")
    assert new.created
    for _ in range(2):
        refused = await chats.update_session("s", increment, expected_version=old.version)
        assert isinstance(refused.error, SessionConflictError)
        assert (await chats.get_session("s")).unwrap()["n"] in (0, 1)
        await chats.update_session("s", increment)


@ends
async def test_an_old_write_never_lands_on_a_session_created_anew(
    storage: StorageProvider, clock: ManualClock, end: End
) -> None:
    old = (await storage.create(draft())).document.summary
    await end(storage, clock)
    new = (await storage.create(draft())).document
    assert await storage.update(Write(old, '{"old":1}')) is None
    assert await storage.get(key(), touch=False) == new


@ends
async def test_an_old_write_never_lands_on_a_session_set_anew(
    storage: StorageProvider, clock: ManualClock, end: End
) -> None:
    old = (await storage.create(draft())).document.summary
    await end(storage, clock)
    await storage.set(draft())
    assert await storage.update(Write(old, '{"old":1}')) is None


async def test_a_session_created_anew_at_the_same_instant_starts_afresh(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s", owner_id="u1", origin={"a": 1})
    await chats.update_session("s", increment)
    await chats.delete_session("s")
    new = await chats.create_session("s")
    assert new.created
    assert new.unwrap() == new_chat("s")
    assert new.metadata is not None
    assert (new.metadata.owner_id, new.metadata.origin) == (None, None)
