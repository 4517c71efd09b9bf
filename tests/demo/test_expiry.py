from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sessionstore import StorageProvider
from sessionstore.demo import DemoClock, Dialogue, Expiry, expire, replay
from sessionstore.storage import Stats
from sessionstore.testing.support.documents import TTL, draft


def test_the_clock_runs_again_after_the_block() -> None:
    clock = DemoClock()
    moment = datetime(2001, 2, 3, tzinfo=UTC)
    before = datetime.now(UTC)
    with clock.at(moment):
        assert (clock(), clock()) == (moment, moment)
    assert clock() >= before


async def test_sessions_of_others_are_left_alone(
    storage: StorageProvider, demo_clock: DemoClock, dialogues: Sequence[Dialogue]
) -> None:
    await storage.create_many([draft("live"), draft("immortal", ttl=None)])
    # A service may keep what expired for an inquiry, and for years: it gives its own reaper a grace.
    with demo_clock.at(datetime.now(UTC) - timedelta(days=5 * 365)):
        await storage.create(draft("expired"))

    report = await replay(dialogues[:5], storage)
    expiry = await expire(storage, demo_clock, report.namespaces)

    assert expiry == Expiry(sessions=10, found=0, reaped=10, left=0)
    (others,) = await storage.stats()
    assert isinstance(others, Stats)
    assert (others.namespace, others.live, others.expired) == ("chat", 2, 1)


async def test_more_sessions_than_a_page_expire(storage: StorageProvider, demo_clock: DemoClock) -> None:
    await storage.create_many([draft(str(n), ttl=TTL) for n in range(1001)])
    assert await expire(storage, demo_clock, ["chat", "none"]) == Expiry(sessions=1001, found=0, reaped=1001, left=0)


def test_an_expired_session_that_is_found_or_left_is_a_failure() -> None:
    assert Expiry(sessions=1, found=0, reaped=2, left=0).ok
    assert not Expiry(sessions=1, found=1, reaped=1, left=0).ok
    assert not Expiry(sessions=1, found=0, reaped=0, left=1).ok
