"""How fast the reaper is, what callers notice of it, and what it needs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median
from typing import Final

import psutil
from psycopg import sql

from sessionstore import Reaper, ReapProgress
from tests.support.postgres import Database

from ..apart import apart
from ..bench import Bench
from ..contestants.library import Library
from ..driving import Turn, drive, drive_for
from ..figures import mebibytes, milliseconds, rate, ratio
from ..options import Options
from ..report import Section, Table
from ..rows import copy_rows, execute, sessions_in
from ..states import SessionIds, change

_BATCH_SIZES = (1_000, 5_000, 20_000)
_PACED_BATCH = 5_000
_PACE = 1.0

_TABLE = sessions_in("sessionstore")
_EXPIRED = sql.Identifier("expired")
_KEEP = sql.SQL("CREATE UNLOGGED TABLE {} AS SELECT * FROM {} WHERE expires_at < now()").format(_EXPIRED, _TABLE)
_VACUUM = sql.SQL("VACUUM {}").format(_TABLE)
_ANALYZE = sql.SQL("ANALYZE {}").format(_TABLE)
_REFILL: Final[list[sql.Composed]] = [
    _VACUUM,  # makes room where the expired rows were
    sql.SQL("INSERT INTO {} SELECT * FROM {}").format(_TABLE, _EXPIRED),
    _VACUUM,
]


@dataclass(frozen=True)
class Run:
    """One run of the reaper: rows a second, and this process's memory before, at most during, and after it."""

    rate: float
    before: int
    most: int
    after: int


@dataclass
class Found:
    """All runs of the reaper by batch size, those beside a caller, and the caller's turns without and with it."""

    runs: dict[int, list[Run]] = field(default_factory=lambda: {size: [] for size in _BATCH_SIZES})
    paced: list[Run] = field(default_factory=list)
    idle: list[Turn] = field(default_factory=list)
    busy: list[Turn] = field(default_factory=list)


async def run(bench: Bench) -> Section:
    """A table of which every other row has expired is reaped, at full speed, and then beside a caller."""
    count = bench.options.sizes.reaper_rows
    bench.console.print(f"reaper: {bench.options.rounds} rounds on {count:,} rows")
    with bench.database() as database:
        found = await apart(measure, database, bench.options)
    rows = [_row(f"{size:,}", "0", runs) for size, runs in found.runs.items()]
    rows.append(_row(f"{_PACED_BATCH:,}", f"{_PACE}, beside a caller", found.paced))
    text = (
        f"{count // 2:,} expired rows of {count:,}, every other one; the table is vacuumed and filled anew for each "
        "run. Memory is the client's resident set in MiB before a run, at most at the end of a batch, and after it, in "
        f"a process that does nothing else. With a pace of {_PACE} the reaper rests after each batch for as long as "
        "the batch took; meanwhile one caller reads, changes and writes live sessions in the same process, which it "
        "has also done just before, alone."
    )
    return Section("Reaper", text, [_rates(rows), _foreground(found.idle, found.busy)])


async def measure(database: Database, options: Options) -> Found:
    """Fills and reaps, round by round."""
    found = Found()
    count = options.sizes.reaper_rows
    library = Library(database)
    await library.setup()
    copy_rows(database.url, _TABLE, count, _expires_in)
    execute(database.url, _KEEP, _VACUUM, _ANALYZE)
    for _ in range(options.rounds):
        for size in _BATCH_SIZES:
            execute(database.url, "CHECKPOINT")
            async with _opened(library):
                found.runs[size].append(await _reap(Reaper(library.storage, batch_size=size), count // 2))
            execute(database.url, *_REFILL)
        execute(database.url, "CHECKPOINT")
        async with _opened(library):
            await _reap_beside_a_caller(library, options, found)
        execute(database.url, *_REFILL)
    return found


async def _reap(reaper: Reaper, expected: int) -> Run:
    process = psutil.Process()
    gc.collect()
    before = most = process.memory_info().rss

    def on_batch(_: ReapProgress) -> None:
        nonlocal most
        most = max(most, process.memory_info().rss)

    report = await reaper.run_once(on_batch=on_batch)
    if report.deleted != expected or report.remaining:
        raise RuntimeError(f"{report.deleted} rows were reaped where {expected} had expired")
    return Run(report.deleted / report.duration.total_seconds(), before, most, process.memory_info().rss)


async def _reap_beside_a_caller(library: Library, options: Options, found: Found) -> None:
    count = options.sizes.reaper_rows
    live: Sequence[str] = SessionIds(count)[1::2]

    async def turn(session: str) -> None:
        await library.read_modify_write(session, change)

    await drive_for(options.warm_up, turn, live, 1)
    found.idle.append(await drive_for(options.seconds, turn, live, 1))
    reaper = Reaper(library.storage, batch_size=_PACED_BATCH, pace=_PACE)
    reaping = asyncio.create_task(_reap(reaper, count // 2))
    found.busy.append(await drive(lambda: not reaping.done(), turn, live, 1))
    found.paced.append(await reaping)


def _expires_in(number: int) -> timedelta:
    # Even numbers expired within the last day, in no order; odd ones stay.
    return timedelta(days=2) if number % 2 else timedelta(seconds=-1 - number * 7919 % 86_400)


def _row(size: str, pace: str, runs: list[Run]) -> list[str]:
    memory = (median(run.before for run in runs), max(run.most for run in runs), median(run.after for run in runs))
    return [size, pace, rate(median(run.rate for run in runs)), *(mebibytes(figure) for figure in memory)]


def _rates(rows: list[list[str]]) -> Table:
    columns = ["batch size", "pace", "rows/s", "memory before", "most", "after"]
    return Table("rows a second, and client memory", columns, rows, words=frozenset({"pace"}))


def _foreground(idle: list[Turn], busy: list[Turn]) -> Table:
    rows = [
        [
            name,
            rate(median(turn.rate for turn in turns)),
            *(milliseconds(median(turn.percentile(percent) for turn in turns)) for percent in (50, 95, 99)),
            ratio(median(one.percentile(99) / other.percentile(99) for one, other in zip(turns, idle, strict=True))),
            str(sum(turn.errors.total() for turn in turns)),
        ]
        for name, turns in (("alone", idle), (f"beside the reaper, pace {_PACE}", busy))
    ]
    columns = ["one caller, RMW", "RMW/s", "p50 ms", "p95 ms", "p99 ms", "p99 x alone", "errors"]
    return Table("what a caller notices", columns, rows)


@asynccontextmanager
async def _opened(library: Library) -> AsyncIterator[None]:
    try:
        await library.open()
        yield
    finally:
        await library.close()
