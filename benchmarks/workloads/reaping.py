"""How fast the reaper is, what callers notice of it, and what it needs."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median
from typing import Final

import psutil
from psycopg import sql

from sessionstore import Reaper, ReapProgress, ReapReport
from sessionstore.testing.postgres import Database

from ..apart import apart
from ..bench import Bench
from ..contestants.library import Library
from ..driving import Turn, drive, drive_for
from ..figures import mebibytes, milliseconds, rate, ratio
from ..options import Options
from ..report import Section, Table
from ..rows import copy_rows, execute, sessions_in
from ..states import SessionIds, change

_PACES = (20.0, 100.0)
_MOST_ROUNDS = 3
_BESIDE_SECONDS = 3.0

_TABLE = sessions_in("sessionstore")
_EXPIRED = sql.Identifier("expired")
_SCATTERED = sql.Identifier("scattered")
_LAYOUTS: Final = {"in the order of their age": _EXPIRED, "in no order": _SCATTERED}
# Where each row is on another page anyway, the size of a batch hardly matters.
_BATCH_SIZES: Final = {"in the order of their age": (1_000, 5_000, 20_000), "in no order": (5_000,)}
_BY_HAND = "one DELETE by hand"

_KEEP: Final[list[sql.Composed]] = [
    sql.SQL("CREATE UNLOGGED TABLE {} AS SELECT * FROM {} WHERE expires_at < now()").format(_EXPIRED, _TABLE),
    sql.SQL("CREATE UNLOGGED TABLE {} AS SELECT * FROM {}").format(_SCATTERED, _EXPIRED),
    sql.SQL("UPDATE {} SET expires_at = now() - random() * interval '1 day'").format(_SCATTERED),
]
_VACUUM = sql.SQL("VACUUM {}").format(_TABLE)
_ANALYZE = sql.SQL("ANALYZE {}").format(_TABLE)
_DELETE = sql.SQL("DELETE FROM {} WHERE expires_at <= now()").format(_TABLE)
_CHECKPOINT = sql.SQL("CHECKPOINT")

# The older half has expired: sessions that began one after another in a day, and lasted for up to an hour.
_EXPIRES_AT: Final = """
    CASE WHEN n < {half} THEN now() - interval '1 minute' - (1 - n / {half}::float) * interval '1 day'
        - random() * interval '1 hour' ELSE now() + interval '2 days' END
"""


@dataclass(frozen=True)
class Run:
    """One run of the reaper: rows a second, and this process's memory before, at most during, and after it."""

    rate: float
    before: int
    most: int
    after: int


@dataclass
class Beside:
    """A caller's turns alone and beside a paced reaper, and the rows a second of that."""

    alone: list[Turn] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


@dataclass
class Found:
    """Runs of the reaper by layout and batch size, single deletions by hand, and callers by the pace."""

    runs: dict[tuple[str, int], list[Run]] = field(default_factory=dict)
    by_hand: dict[str, list[float]] = field(default_factory=dict)
    beside: dict[float, Beside] = field(default_factory=dict)


async def run(bench: Bench) -> Section:
    """A table of which half has expired is reaped, at full speed, and then beside a caller."""
    count = bench.options.sizes.reaper_rows
    rounds = min(bench.options.rounds, _MOST_ROUNDS)
    bench.console.print(f"reaper: {rounds} rounds on {count:,} rows")
    with bench.database() as database:
        found = await apart(measure, database, count, rounds, _beside(bench.options))
    text = (
        f"{count // 2:,} expired rows of {count:,}; the table is vacuumed and filled anew for each run, and a "
        "checkpoint made, so that the first change of each page is logged with the whole page. In the order of their "
        "age is how sessions come to lie in a table: those that began together lie and expire together, here within an "
        "hour. In no order is the worst case: each row of a batch is on another page. The single DELETE is no way to "
        "reap, because it holds all rows until its end; it tells what the server could do. Memory is the client's "
        "resident set in MiB before a run, at most at the end of a batch, and after it, in a process that does nothing "
        f"else. A paced reaper rests after each batch, and keeps batches short; for {_beside(bench.options):.0f} "
        "seconds one caller reads, changes and writes live sessions in the same process, and as long before, alone."
    )
    return Section("Reaper", text, [_rates(found), _foreground(found)])


async def measure(database: Database, count: int, rounds: int, seconds: float) -> Found:
    """Fills and reaps, round by round."""
    found = Found()
    library = Library(database)
    await library.setup()
    copy_rows(database.url, _TABLE, count, sql.SQL(_EXPIRES_AT).format(half=sql.Literal(count // 2)))
    execute(database.url, *_KEEP, _VACUUM, _ANALYZE)
    # Sizes and layouts that are compared are close together, because a machine has its moods.
    for _ in range(rounds):
        for layout, rows in _LAYOUTS.items():
            for size in _BATCH_SIZES[layout]:
                _refill(database, rows)
                async with _opened(library):
                    run = await _reap(Reaper(library.storage, batch_size=size), count // 2)
                found.runs.setdefault((layout, size), []).append(run)
            _refill(database, rows)
            began = time.perf_counter()
            execute(database.url, _DELETE)
            found.by_hand.setdefault(layout, []).append(count // 2 / (time.perf_counter() - began))
        _refill(database, _EXPIRED)
        async with _opened(library):
            await _reap_beside_a_caller(library, count, seconds, found)
    return found


def _refill(database: Database, rows: sql.Identifier) -> None:
    filling = sql.SQL("INSERT INTO {} SELECT * FROM {}").format(_TABLE, rows)
    # The first VACUUM makes room where the expired rows were.
    execute(database.url, _DELETE, _VACUUM, filling, _VACUUM, _CHECKPOINT)


def _beside(options: Options) -> float:
    """How long a caller is watched: a 99th percentile needs many calls, whatever a turn of others takes."""
    return max(_BESIDE_SECONDS, 3 * options.seconds)


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


async def _reap_beside_a_caller(library: Library, count: int, seconds: float, found: Found) -> None:
    live: Sequence[str] = SessionIds(count)[count // 2 :]

    async def turn(session: str) -> None:
        await library.read_modify_write(session, change)

    await drive_for(seconds / 4, turn, live, 1)
    for pace in _PACES:
        beside = found.beside.setdefault(pace, Beside())
        beside.alone.append(await drive_for(seconds, turn, live, 1))
        reaper = Reaper(library.storage, pace=pace)
        reaping = asyncio.create_task(reaper.run_once(time_budget=timedelta(seconds=seconds)))
        beside.turns.append(await drive(_until(reaping), turn, live, 1))
        report = await reaping
        beside.rates.append(report.deleted / report.duration.total_seconds())


def _until(task: asyncio.Task[ReapReport]) -> Callable[[], bool]:
    return lambda: not task.done()


def _rates(found: Found) -> Table:
    rows: list[list[str]] = []
    for layout in _LAYOUTS:
        rows.extend(_row(layout, size, found.runs[layout, size]) for size in _BATCH_SIZES[layout])
        rows.append([layout, _BY_HAND, rate(median(found.by_hand[layout])), "", "", ""])
    columns = ["expired rows lie", "batch size", "rows/s", "memory before", "most", "after"]
    return Table("rows a second, and client memory", columns, rows, words=frozenset({"expired rows lie"}))


def _row(layout: str, size: int, runs: list[Run]) -> list[str]:
    memory = (median(run.before for run in runs), max(run.most for run in runs), median(run.after for run in runs))
    return [layout, f"{size:,}", rate(median(run.rate for run in runs)), *map(mebibytes, memory)]


def _foreground(found: Found) -> Table:
    rows: list[list[str]] = []
    for pace, beside in found.beside.items():
        for name, reaped, turns in (
            ("alone", "", beside.alone),
            (f"beside the reaper, pace {pace:.0f}", rate(median(beside.rates)), beside.turns),
        ):
            percentiles = [median(turn.percentile(percent) for turn in turns) for percent in (50, 95, 99)]
            pairs = zip(turns, beside.alone, strict=True)
            rows.append(
                [
                    name,
                    reaped,
                    rate(median(turn.rate for turn in turns)),
                    *map(milliseconds, percentiles),
                    ratio(median(turn.percentile(99) / alone.percentile(99) for turn, alone in pairs)),
                    str(sum(turn.errors.total() for turn in turns)),
                ]
            )
    columns = ["one caller, RMW", "reaped/s", "RMW/s", "p50 ms", "p95 ms", "p99 ms", "p99 x alone", "errors"]
    return Table("what a caller notices", columns, rows)


@asynccontextmanager
async def _opened(library: Library) -> AsyncIterator[None]:
    try:
        await library.open()
        yield
    finally:
        await library.close()
