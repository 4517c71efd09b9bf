"""Purges: they delete expired rows, and no live session."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sessionstore import ConfigurationError, StorageProvider
from sessionstore.storage import Stats

from ...capability import Capability, needs
from ...clock import START, ManualClock
from ...support.documents import MOMENT, TTL, draft, ids, key, put, rewrite
from ...support.logs import fill, texts_of
from ..given import OpenAnother

MINUTE = timedelta(minutes=1)


async def test_a_purge_deletes_expired_sessions_and_nothing_else(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "a", "b", ttl=MINUTE)
    await put(storage, "c", ttl=MINUTE, namespace="other")
    await put(storage, "later")
    await put(storage, "never", ttl=None)
    clock.advance(MINUTE * 2)
    assert await storage.count_expired() == 3
    assert await storage.purge_expired() == 3
    assert (await storage.count_expired(), await storage.purge_expired()) == (0, 0)
    assert ids((await storage.list()).sessions) == ["later", "never"]


async def test_a_purge_deletes_a_session_that_expires_at_this_moment(
    storage: StorageProvider, clock: ManualClock
) -> None:
    expires_at = (await storage.create(draft())).document.summary.expires_at
    assert expires_at is not None
    clock.now = expires_at - MOMENT
    assert (await storage.count_expired(), await storage.purge_expired()) == (0, 0)
    clock.now = expires_at
    assert (await storage.count_expired(), await storage.purge_expired()) == (1, 1)


async def test_a_purge_takes_no_more_than_its_limit(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "a", "b", "c", ttl=MINUTE)
    await put(storage, "live")
    clock.advance(MINUTE * 2)
    assert [await storage.purge_expired(limit=2) for _ in range(3)] == [2, 1, 0]
    assert ids((await storage.list()).sessions) == ["live"]


async def test_batches_follow_one_another_in_the_order_of_expiry(storage: StorageProvider, clock: ManualClock) -> None:
    for name, ttl in {"c": 3, "a": 1, "d": 3, "b": 2}.items():
        await put(storage, name, ttl=MINUTE * ttl)
    clock.advance(MINUTE * 9)
    first = await storage.purge_batch(limit=2)
    assert (first.deleted, first.left, first.last) == (2, 0, START + MINUTE * 2.2)
    second = await storage.purge_batch(since=first.last)
    assert (second.deleted, second.left, second.last) == (2, 0, START + MINUTE * 3.3)
    third = await storage.purge_batch(since=second.last)
    assert (third.deleted, third.left, third.last) == (0, 0, None)


async def test_a_batch_begins_at_the_expiry_named(storage: StorageProvider, clock: ManualClock) -> None:
    for name, ttl in {"a": 1, "b": 2, "c": 3}.items():
        await put(storage, name, ttl=MINUTE * ttl)
    clock.advance(MINUTE * 9)
    since = START + MINUTE * 2.2
    assert (await storage.count_expired(since=since), await storage.count_expired(since=since + MOMENT)) == (2, 1)
    assert (await storage.purge_batch(since=since)).deleted == 2
    assert await storage.count_expired() == 1


async def test_grace_keeps_a_row_and_not_the_session(storage: StorageProvider, clock: ManualClock) -> None:
    expires_at = (await storage.create(draft())).document.summary.expires_at
    assert expires_at is not None
    clock.now = expires_at + timedelta(hours=1) - MOMENT
    grace = timedelta(hours=1)
    assert (await storage.count_expired(grace=grace), await storage.purge_expired(grace=grace)) == (0, 0)
    assert (await storage.exists(key()), await storage.count_expired()) == (False, 1)
    clock.advance(MOMENT * 2)
    assert (await storage.count_expired(grace=grace), await storage.purge_expired(grace=grace)) == (1, 1)


async def test_a_purge_spares_a_session_whose_expiry_moved(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "read", "written", "touched", "set", "left")
    clock.advance(TTL)
    await storage.get(key("read"))
    await storage.update_locked(key("written"), rewrite)
    await storage.touch(key("touched"))
    await storage.set(draft("set"))
    clock.advance(TTL / 2)
    assert await storage.purge_expired() == 1
    assert ids((await storage.list()).sessions) == ["read", "set", "touched", "written"]


async def test_purges_at_once_delete_each_row_once(
    storage: StorageProvider, open_another: OpenAnother, clock: ManualClock
) -> None:
    others = [storage, await open_another(), await open_another()]
    await put(storage, *(f"s{n}" for n in range(60)))
    clock.advance(TTL * 2)
    await put(storage, "live")

    async def purge_all(storage: StorageProvider) -> int:
        deleted = 0
        while await storage.count_expired():
            deleted += await storage.purge_expired(limit=7)
        return deleted

    assert sum(await asyncio.gather(*map(purge_all, others))) == 60
    assert ids((await storage.list()).sessions) == ["live"]


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_purge_limit_below_one_is_refused(storage: StorageProvider, limit: int) -> None:
    with pytest.raises(ConfigurationError):
        await storage.purge_expired(limit=limit)


async def test_stats_count_live_and_expired_sessions_of_each_namespace(
    storage: StorageProvider, clock: ManualClock
) -> None:
    first = (await storage.create(draft("a", ttl=MINUTE, namespace="b"))).document.summary.expires_at
    clock.advance(timedelta(seconds=1))
    await put(storage, "b", ttl=MINUTE, namespace="b")
    await put(storage, "c", "d", namespace="b")
    await put(storage, "e", ttl=None, namespace="a")
    clock.advance(MINUTE * 2)
    alone = Stats("a", live=1, expired=0, oldest_expiry=None)
    mixed = Stats("b", live=2, expired=2, oldest_expiry=first)
    assert list(await storage.stats()) == [alone, mixed]
    assert list(await storage.stats("b")) == [mixed]
    assert list(await storage.stats("nowhere")) == []


async def _expired(storage: StorageProvider, clock: ManualClock, **items: int) -> None:
    """Creates expired sessions with these numbers of items. The first session expired first."""
    for name, count in items.items():
        await put(storage, name, ttl=MINUTE)
        if count:
            await fill(storage, name, *map(str, range(count)))
        clock.advance(MOMENT)
    clock.advance(MINUTE * 2)


@needs(Capability.ITEMS)
@pytest.mark.parametrize(
    ("limit", "batches"),
    [
        (1, [1, 1, 1, 1, 1, 0]),
        (3, [1, 1, 1, 2, 0]),
        (4, [1, 1, 1, 2, 0]),
        (7, [2, 3, 0]),
        (11, [3, 2, 0]),
        (12, [4, 1, 0]),
        (13, [5, 0]),
        (5000, [5, 0]),
    ],
)
async def test_items_count_towards_the_limit_of_a_purge(
    storage: StorageProvider, clock: ManualClock, limit: int, batches: list[int]
) -> None:
    await _expired(storage, clock, a=2, b=3, c=3, d=0, e=0)
    await put(storage, "live")
    await fill(storage, "live", "1", "2")
    assert [await storage.purge_expired(limit=limit) for _ in batches] == batches
    assert await texts_of(storage, "live") == ["1", "2"]


@needs(Capability.ITEMS)
async def test_a_purge_deletes_at_least_one_session(storage: StorageProvider, clock: ManualClock) -> None:
    await _expired(storage, clock, long=50, short=0)
    first = await storage.purge_batch(limit=10)
    assert (first.deleted, first.left) == (1, 0)
    assert first.last is not None
    assert await storage.count_expired() == 1
    assert (await storage.purge_batch(limit=10, since=first.last)).deleted == 1


@needs(Capability.ITEMS)
async def test_items_of_a_purged_session_are_gone(storage: StorageProvider, clock: ManualClock) -> None:
    await _expired(storage, clock, a=3)
    assert await storage.purge_expired() == 1
    await put(storage, "a")
    assert await texts_of(storage, "a") == []
    await fill(storage, "a", '"new"')
    assert await texts_of(storage, "a") == ['"new"']


@needs(Capability.ITEMS)
async def test_sessions_that_expire_at_once_are_purged_with_their_items(
    storage: StorageProvider, clock: ManualClock
) -> None:
    names = [f"s{n}" for n in range(10)]
    await put(storage, *names, ttl=MINUTE)
    for name in names:
        await fill(storage, name, "1", "2")
    clock.advance(MINUTE * 2)
    counts = [await storage.purge_expired(limit=7) for _ in range(6)]
    assert counts == [2, 2, 2, 2, 2, 0]


@needs(Capability.ITEMS)
async def test_reapers_at_once_purge_each_session_with_items_once(storage: StorageProvider, clock: ManualClock) -> None:
    await _expired(storage, clock, **{f"s{n}": n % 4 for n in range(30)})

    async def reap() -> int:
        total = 0
        while (purged := await storage.purge_batch(limit=9)).deleted or purged.left or await storage.count_expired():
            total += purged.deleted
        return total

    assert sum(await asyncio.gather(reap(), reap(), reap())) == 30
    assert await storage.count_expired() == 0


@needs(Capability.ITEMS)
async def test_clearing_deletes_the_items(storage: StorageProvider) -> None:
    names = [f"s{n}" for n in range(5)]
    await put(storage, *names)
    for name in names:
        await fill(storage, name, *map(str, range(3)))
    assert await storage.clear("chat") == 5
    await put(storage, *names)
    for name in names:
        assert await texts_of(storage, name) == []
        await fill(storage, name, "1")
