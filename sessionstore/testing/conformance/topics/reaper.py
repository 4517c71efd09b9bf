"""The reaper on a storage."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import pytest_asyncio

from sessionstore import Reaper, ReapProgress, ReapReport, StorageProvider

from ...clock import ManualClock
from ...support.documents import TTL, ids, put
from ..given import OpenAnother


@pytest_asyncio.fixture(loop_scope="function")
async def expired(storage: StorageProvider, clock: ManualClock) -> StorageProvider:
    """A storage with seven expired sessions and two live ones."""
    await put(storage, *(f"expired{n}" for n in range(7)))
    clock.advance(TTL * 2)
    await put(storage, "live")
    await put(storage, "never", ttl=None)
    return storage


async def test_a_run_deletes_in_batches_until_nothing_is_left(expired: StorageProvider) -> None:
    progress: list[ReapProgress] = []
    report = await Reaper(expired, batch_size=3).run_once(on_batch=progress.append)
    assert (report.deleted, report.batches, report.remaining) == (7, 3, 0)
    assert report.duration > timedelta(0)
    assert [(step.deleted, step.batches) for step in progress] == [(3, 1), (6, 2), (7, 3)]
    assert ids((await expired.list()).sessions) == ["live", "never"]


async def test_a_run_with_nothing_to_do_does_nothing(expired: StorageProvider) -> None:
    await Reaper(expired).run_once()
    report = await Reaper(expired).run_once()
    assert (report.deleted, report.remaining) == (0, 0)


async def test_a_dry_run_only_counts(expired: StorageProvider) -> None:
    report = await Reaper(expired, batch_size=3).run_once(dry_run=True)
    assert (report.deleted, report.batches, report.remaining) == (0, 0, 7)
    assert await expired.count_expired() == 7


async def test_a_run_whose_time_is_up_reports_the_rest(expired: StorageProvider) -> None:
    report = await Reaper(expired, batch_size=2).run_once(time_budget=timedelta(microseconds=1))
    assert (report.deleted, report.batches, report.remaining) == (2, 1, 5)
    assert await expired.count_expired() == 5


async def test_a_run_spares_what_is_still_in_its_grace(expired: StorageProvider, clock: ManualClock) -> None:
    reaper = Reaper(expired, grace=timedelta(hours=1))
    report = await reaper.run_once()
    assert (report.deleted, report.remaining) == (0, 0)
    clock.advance(timedelta(hours=1) - TTL / 2)
    assert (await reaper.run_once()).deleted == 7


async def test_a_session_that_expires_between_two_batches_is_deleted_too(
    expired: StorageProvider, clock: ManualClock
) -> None:
    def advance(progress: ReapProgress) -> None:
        if progress.batches == 1:
            clock.advance(TTL * 2)

    report = await Reaper(expired, batch_size=3).run_once(on_batch=advance)
    assert (report.deleted, report.remaining) == (8, 0)
    assert ids((await expired.list()).sessions) == ["never"]


async def test_an_error_of_on_batch_ends_the_run_and_keeps_its_deletions(expired: StorageProvider) -> None:
    def stop(progress: ReapProgress) -> None:
        raise KeyError(progress.batches)

    with pytest.raises(KeyError, match="1"):
        await Reaper(expired, batch_size=2).run_once(on_batch=stop)
    assert await expired.count_expired() == 5


async def test_reapers_at_once_delete_each_row_once(expired: StorageProvider, open_another: OpenAnother) -> None:
    reapers = [Reaper(expired, batch_size=1), Reaper(await open_another(), batch_size=2)]
    reports = await asyncio.gather(*(reaper.run_once() for reaper in reapers))
    assert sum(report.deleted for report in reports) + await expired.count_expired() == 7
    assert ids((await expired.list()).sessions) == ["live", "never"]


async def test_a_reaper_beside_a_service_runs_at_once(expired: StorageProvider) -> None:
    reports: asyncio.Queue[ReapReport] = asyncio.Queue()
    async with Reaper(expired).every(timedelta(hours=1), on_report=reports.put_nowait), asyncio.timeout(10):
        assert (await reports.get()).deleted == 7
    assert ids((await expired.list()).sessions) == ["live", "never"]
