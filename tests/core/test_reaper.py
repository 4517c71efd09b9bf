from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from sessionstore import (
    ConfigurationError,
    MemoryStorageProvider,
    Reaper,
    ReapProgress,
    ReapReport,
    StorageProvider,
    StorageUnavailableError,
)
from sessionstore.storage import Purge
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.support.documents import TTL, ids, put

AT_ONCE = timedelta(microseconds=1)
AN_HOUR = timedelta(hours=1)


class FailingOnce(MemoryStorageProvider):
    """A memory storage whose first purge fails. It signals the end of the second purge."""

    def __init__(self, error: Exception, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.failed = asyncio.Event()
        self.purged = asyncio.Event()
        self._error = error

    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        if not self.failed.is_set():
            self.failed.set()
            raise self._error
        try:
            return await super().purge_batch(limit=limit, grace=grace, since=since)
        finally:
            self.purged.set()


class Endless(MemoryStorageProvider):
    """A memory storage whose purge begins and never ends."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()
        self.cancelled = False

    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        self.began.set()
        try:
            return await asyncio.Future[Purge]()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def reapers_running() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "sessionstore-reaper"]


async def test_a_reaper_beside_a_service_runs_at_once_and_again(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "a", ttl=TTL)
    await put(storage, "b", "c", ttl=TTL * 4)
    await put(storage, "d", ttl=None)
    clock.advance(TTL * 2)
    reports: list[ReapReport] = []
    twice = asyncio.Event()

    def note(report: ReapReport) -> None:
        reports.append(report)
        clock.advance(TTL * 4)
        if len(reports) == 2:
            twice.set()

    async with Reaper(storage).every(AT_ONCE, on_report=note), asyncio.timeout(10):
        await twice.wait()
    assert [report.deleted for report in reports[:2]] == [1, 2]
    assert ids((await storage.list()).sessions) == ["d"]


async def test_a_reaper_runs_without_on_report(storage: StorageProvider, clock: ManualClock) -> None:
    async with Reaper(storage).every(AT_ONCE), asyncio.timeout(10):
        for session_id in "abc":
            await put(storage, session_id)
            clock.advance(TTL * 2)
            while await storage.count_expired():  # noqa: ASYNC110  # that nobody is told is the point
                await asyncio.sleep(0)


async def test_a_reaper_waits_for_the_interval_between_two_runs(storage: StorageProvider) -> None:
    reports: list[ReapReport] = []
    once = asyncio.Event()
    async with Reaper(storage).every(AN_HOUR, on_report=lambda report: reports.append(report) or once.set()):
        async with asyncio.timeout(10):
            await once.wait()
        for _ in range(100):
            await asyncio.sleep(0)
    assert len(reports) == 1


async def test_a_reaper_goes_on_after_an_outage(clock: ManualClock) -> None:
    storage = FailingOnce(StorageUnavailableError("down"), clock)
    await put(storage, "s")
    clock.advance(TTL * 2)
    reports: list[ReapReport] = []
    async with Reaper(storage).every(AT_ONCE, on_report=reports.append), asyncio.timeout(10):
        await storage.purged.wait()
        assert await storage.count_expired() == 0
        while not reports:  # noqa: ASYNC110  # the report comes right after the purge
            await asyncio.sleep(0)
    # The failed run has no report.
    assert reports[0].deleted == 1


async def test_another_error_ends_the_reaper_and_is_raised_when_the_block_is_left(clock: ManualClock) -> None:
    error = RuntimeError("a fault of the program")
    storage = FailingOnce(error, clock)
    served = asyncio.Event()

    async def serve() -> None:
        async with Reaper(storage).every(AT_ONCE), asyncio.timeout(10):
            while reapers_running():  # noqa: ASYNC110  # a task that ends by itself gives no event
                await asyncio.sleep(0)
            served.set()

    with pytest.raises(RuntimeError) as raised:
        await serve()
    assert raised.value is error
    assert served.is_set()
    assert not storage.purged.is_set()


async def test_an_exception_of_on_report_is_raised_when_the_block_is_left(storage: StorageProvider) -> None:
    called = asyncio.Event()

    def fail(report: ReapReport) -> None:
        called.set()
        raise KeyError(report.deleted)

    with pytest.raises(KeyError, match="0"):
        async with Reaper(storage).every(AT_ONCE, on_report=fail), asyncio.timeout(10):
            await called.wait()


async def test_the_error_of_the_reaper_does_not_hide_the_error_of_the_block(clock: ManualClock) -> None:
    storage = FailingOnce(RuntimeError("the reaper's"), clock)

    async def serve() -> None:
        async with Reaper(storage).every(AT_ONCE), asyncio.timeout(10):
            await storage.failed.wait()
            raise KeyError("the block's")

    with pytest.raises(KeyError, match="the block's"):
        await serve()
    assert reapers_running() == []


async def test_leaving_the_block_does_not_wait_for_a_batch() -> None:
    storage = Endless()
    async with asyncio.timeout(10):
        async with Reaper(storage).every(AN_HOUR):
            await storage.began.wait()
    assert storage.cancelled
    assert reapers_running() == []


async def test_no_reaper_is_left_after_a_block_that_is_left_at_once(storage: StorageProvider) -> None:
    async with Reaper(storage).every(AN_HOUR):
        pass
    assert reapers_running() == []


@pytest.mark.parametrize("interval", [timedelta(0), timedelta(seconds=-1), timedelta.max], ids=str)
async def test_an_invalid_interval_is_refused(storage: StorageProvider, interval: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="interval must be positive"):
        async with Reaper(storage).every(interval):
            pass
    assert reapers_running() == []


class Timed(MemoryStorageProvider):
    """A memory storage whose batches take a given time on a fake clock. It records their sizes."""

    def __init__(self, seconds: Iterable[float], clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.asked: list[int] = []
        self._seconds = iter(seconds)
        self._watch = 0.0

    def monotonic(self) -> float:
        return self._watch

    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        self.asked.append(limit)
        self._watch += next(self._seconds, 0)
        return Purge(limit if len(self.asked) < 7 else 0, None, 0)


@pytest.mark.parametrize(
    ("pace", "milliseconds", "asked"),
    [
        (0, [500] * 7, [500] * 7),
        (1e-9, [1] * 7, [50, 75, 112, 168, 252, 378, 500]),
        (1e-9, [1, 1, 4, 4, 100, 100], [50, 75, 112, 112, 112, 56, 50]),
        (1e-9, [0, 5], [50, 75, 60, 90, 135, 202, 303]),
    ],
    ids=["at full speed", "short batches grow", "long batches shrink", "towards the time"],
)
async def test_a_paced_run_deletes_as_many_rows_a_batch_as_fit_into_the_batch_time(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch, pace: float, milliseconds: list[float], asked: list[int]
) -> None:
    storage = Timed([taken / 1000 for taken in milliseconds], clock)
    monkeypatch.setattr("sessionstore.reaper.time", storage)
    await Reaper(storage, batch_size=500, pace=pace, batch_time=timedelta(milliseconds=4)).run_once()
    assert storage.asked == asked


BAD_ARGUMENTS: list[tuple[str, Any]] = [
    ("batch_time", timedelta(0)),
    ("batch_time", timedelta.max),
    ("batch_size", 0),
    ("batch_size", -1),
    ("grace", timedelta(microseconds=-1)),
    ("grace", timedelta.max),
    ("pace", -0.1),
    ("pace", 1001),
    ("pace", float("inf")),
    ("pace", float("nan")),
]


@pytest.mark.parametrize(("name", "value"), BAD_ARGUMENTS)
def test_an_invalid_argument_of_the_reaper_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        Reaper(MemoryStorageProvider(), **{name: value})


@pytest.mark.parametrize("budget", [timedelta(0), timedelta(seconds=-1)], ids=str)
async def test_an_invalid_time_budget_is_refused_before_anything_is_deleted(
    storage: StorageProvider, clock: ManualClock, budget: timedelta
) -> None:
    await put(storage, "s")
    clock.advance(TTL * 2)
    with pytest.raises(ConfigurationError, match="time_budget must be positive"):
        await Reaper(storage).run_once(time_budget=budget)
    assert await storage.count_expired() == 1


@pytest.mark.parametrize("pace", [0, 0.5, 2.0])
async def test_a_run_at_any_pace_deletes_all_expired_sessions_in_batches(
    storage: StorageProvider, clock: ManualClock, pace: float
) -> None:
    await put(storage, *"abcde")
    clock.advance(TTL * 2)
    progress: list[ReapProgress] = []
    report = await Reaper(storage, batch_size=2, pace=pace).run_once(on_batch=progress.append, time_budget=AN_HOUR)
    assert (report.deleted, report.batches, report.remaining) == (5, 3, 0)
    assert [(done.deleted, done.batches) for done in progress] == [(2, 1), (4, 2), (5, 3)]
    seconds = [done.seconds for done in progress]
    assert seconds == sorted(seconds)
    assert report.duration >= timedelta(0)
    assert await storage.count_expired() == 0
