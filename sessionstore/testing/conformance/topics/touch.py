"""touch(): an access without a read."""

from __future__ import annotations

from sessionstore import StorageProvider

from ...clock import ManualClock
from ...support.documents import TTL, draft, key, put


async def test_a_touch_slides_the_expiry_and_keeps_the_version(storage: StorageProvider, clock: ManualClock) -> None:
    created = (await storage.create(draft())).document.summary
    clock.advance(TTL)
    assert await storage.touch(key())
    touched = await storage.get(key(), touch=False)
    assert touched is not None
    assert touched.summary.expires_at is not None
    assert touched.summary.expires_at >= clock() + TTL
    assert (touched.summary.version, touched.summary.updated_at) == (created.version, created.updated_at)


async def test_an_access_that_need_not_move_the_expiry_writes_nothing(
    storage: StorageProvider, clock: ManualClock
) -> None:
    await put(storage, "s")
    before = await storage.get(key(), touch=False)
    clock.advance(TTL / 10)
    assert await storage.touch(key())
    assert list(await storage.touch_many([key(), key()])) == [True, True]
    assert await storage.get(key())
    assert await storage.get_many([key(), key()])
    assert not (await storage.create(draft())).created
    assert not any(creation.created for creation in await storage.create_many([draft(), draft()]))
    assert await storage.get(key(), touch=False) == before


async def test_a_touch_does_not_bring_back_a_session_that_is_gone(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "expired")
    clock.advance(TTL * 2)
    await put(storage, "live")
    keys = [key("live"), key("expired"), key("never"), key("live")]
    assert list(await storage.touch_many(keys)) == [True, False, False, True]
    assert list(await storage.exists_many(keys)) == [True, False, False, True]


async def test_exists_does_not_count_as_an_access(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s")
    before = await storage.get(key(), touch=False)
    clock.advance(TTL)
    assert await storage.exists(key())
    assert await storage.get(key(), touch=False) == before


async def test_an_empty_batch_returns_nothing(storage: StorageProvider) -> None:
    for call in (
        storage.create_many,
        storage.get_many,
        storage.update_many,
        storage.set_many,
        storage.delete_many,
        storage.exists_many,
        storage.touch_many,
    ):
        assert list(await call([])) == []
