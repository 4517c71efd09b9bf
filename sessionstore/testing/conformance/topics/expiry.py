"""The expiry: an access moves the expiry, and an expired session is gone for every call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from sessionstore import SessionManager, SessionResult, StorageProvider
from sessionstore.storage import Write

from ...clock import ManualClock
from ...support.documents import MOMENT, TTL, Chat, draft, increment, key, rewrite
from ..given import Managed


def expiry(result: SessionResult[Chat]) -> datetime:
    assert result.metadata is not None
    assert result.metadata.expires_at is not None
    return result.metadata.expires_at


# Some of these durations change if they are kept in days, in a time zone with summer time, or as a float.
@pytest.mark.parametrize(
    "ttl",
    [
        MOMENT,
        timedelta(milliseconds=1, microseconds=1),
        timedelta(seconds=1),
        TTL,
        timedelta(hours=30, microseconds=3),
        timedelta(days=150, seconds=1, microseconds=999_999),
        timedelta(days=20_000, microseconds=1),
        timedelta(days=99_999, microseconds=1),
    ],
    ids=str,
)
async def test_a_session_lives_its_ttl_and_at_most_a_tenth_more_after_an_access(
    managed: Managed, clock: ManualClock, ttl: timedelta
) -> None:
    chats = managed(ttl=ttl)
    accesses: list[Callable[[], Awaitable[SessionResult[Chat]]]] = [
        lambda: chats.create_session("s"),
        lambda: chats.get_session("s"),
        lambda: chats.update_session("s", increment),
        lambda: chats.create_session("s"),
    ]
    for access in accesses:
        accessed = await access()
        assert clock() + ttl <= expiry(accessed) <= clock() + ttl + ttl / 10
        assert accessed.metadata is not None
        assert accessed.metadata.ttl == ttl
        assert expiry(await chats.get_session("s", touch=False)) == expiry(accessed)
        clock.advance(ttl - MOMENT)


async def test_a_session_is_gone_at_the_moment_of_its_expiry(chats: SessionManager[Chat], clock: ManualClock) -> None:
    clock.now = expiry(await chats.create_session("s")) - MOMENT
    assert (await chats.get_session("s", touch=False)).success
    clock.advance(MOMENT)
    assert not (await chats.get_session("s", touch=False)).success
    assert not (await chats.get_session("s")).success


async def test_an_expired_session_is_gone_for_every_call(storage: StorageProvider, clock: ManualClock) -> None:
    created = (await storage.create(draft(owner_id="u1"))).document.summary
    clock.advance(TTL * 1.1)
    assert await storage.get(key()) is None
    assert await storage.get(key(), touch=False) is None
    assert await storage.update(Write(created, "{}")) is None
    assert await storage.update_locked(key(), rewrite) is None
    assert await storage.exists(key()) is False
    assert await storage.touch(key()) is False
    assert list((await storage.list()).sessions) == []
    assert list((await storage.list("chat", owner_id="u1", prefix="s")).sessions) == []
    assert await storage.clear("other") == 0
    assert await storage.delete(key()) is False


async def test_the_expiry_moves_at_most_once_in_a_tenth_of_the_ttl(
    chats: SessionManager[Chat], clock: ManualClock
) -> None:
    last, moved_at = expiry(await chats.create_session("s")), clock()
    moves = 0
    for n in range(150):
        clock.advance(TTL / 50)
        read = await (chats.get_session("s") if n % 2 else chats.update_session("s", increment))
        if expiry(read) != last:
            assert clock() - moved_at >= TTL / 10
            last, moved_at, moves = expiry(read), clock(), moves + 1
    assert 20 <= moves <= 30


async def test_the_expiry_never_moves_back(chats: SessionManager[Chat], clock: ManualClock) -> None:
    first = expiry(await chats.create_session("s"))
    clock.advance(-TTL / 2)
    for access in (chats.get_session("s"), chats.update_session("s", increment), chats.create_session("s")):
        assert expiry(await access) == first


async def test_a_sessions_own_ttl_is_what_later_accesses_extend_by(managed: Managed, clock: ManualClock) -> None:
    own = timedelta(hours=5)
    await managed().create_session("s", ttl=own)
    others = managed(ttl=timedelta(seconds=1))
    for _ in range(3):
        clock.advance(own)
        assert clock() + own <= expiry(await others.get_session("s")) <= clock() + own * 1.1
        clock.advance(own)
        assert clock() + own <= expiry(await others.update_session("s", increment)) <= clock() + own * 1.1


@pytest.mark.parametrize("by", ["manager", "session"])
async def test_without_a_ttl_a_session_never_expires(managed: Managed, clock: ManualClock, by: str) -> None:
    chats = managed(ttl=None) if by == "manager" else managed()
    created = await (chats.create_session("s") if by == "manager" else chats.create_session("s", ttl=None))
    assert created.metadata is not None
    assert (created.metadata.ttl, created.metadata.expires_at) == (None, None)
    clock.advance(timedelta(days=100_000))
    read = await chats.get_session("s")
    assert read.metadata is not None
    assert read.metadata.expires_at is None
    assert (await chats.update_session("s", increment)).success


async def test_a_session_expires_at_its_max_lifetime_however_active(managed: Managed, clock: ManualClock) -> None:
    chats = managed(max_lifetime=timedelta(hours=2))
    await chats.create_session("s")
    end = clock() + timedelta(hours=2)
    while clock() < end:
        assert clock() <= expiry(await chats.get_session("s")) <= end
        assert expiry(await chats.update_session("s", increment)) <= end
        clock.advance(timedelta(minutes=20))
    assert not (await chats.get_session("s")).success


async def test_a_max_lifetime_caps_a_session_without_ttl(managed: Managed, clock: ManualClock) -> None:
    chats = managed(ttl=None, max_lifetime=timedelta(hours=2))
    end = clock() + timedelta(hours=2)
    assert expiry(await chats.create_session("s")) == end
    clock.now = end - MOMENT
    assert expiry(await chats.update_session("s", increment)) == end
    clock.now = end
    assert not (await chats.get_session("s")).success


async def test_a_max_lifetime_shorter_than_the_ttl_wins(managed: Managed, clock: ManualClock) -> None:
    created = await managed(max_lifetime=timedelta(minutes=5)).create_session("s")
    assert expiry(created) == clock() + timedelta(minutes=5)


async def test_a_max_lifetime_stays_with_the_session(managed: Managed, clock: ManualClock) -> None:
    await managed(max_lifetime=timedelta(hours=1)).create_session("s")
    unlimited = managed()
    clock.advance(timedelta(minutes=30))
    await unlimited.get_session("s")
    clock.advance(timedelta(minutes=30))
    assert not (await unlimited.get_session("s")).success


async def test_concurrent_accesses_leave_an_expiry_that_keeps_the_promise(
    chats: SessionManager[Chat], clock: ManualClock
) -> None:
    await chats.create_session("s")
    clock.advance(TTL)
    await asyncio.gather(*(chats.get_session("s") for _ in range(8)), chats.update_session("s", increment))
    assert clock() + TTL <= expiry(await chats.get_session("s", touch=False)) <= clock() + TTL * 1.1
