"""Several processes that update the same sessions."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.support.postgres import Database

from ..apart import apart
from ..bench import SESSIONS, Bench
from ..contestants.library import Library
from ..driving import Turn, drive_for
from ..figures import errors, milliseconds, rate, share
from ..report import Section, Table
from ..rows import execute
from ..states import SessionIds, change

PROCESSES = 4
CALLERS = 16

_TURNS = 20
"""How many usual turns long it is: a wait that nobody should have to suffer may be rare."""

_DEADLOCKS = "SELECT pg_stat_force_next_flush(), deadlocks FROM pg_stat_database WHERE datname = current_database()"


async def run(bench: Bench) -> Section:
    """Each process has a pool, callers and combining of its own; they meet on the rows."""
    seconds = bench.options.seconds * _TURNS
    ids = SessionIds(SESSIONS)
    bench.console.print(f"processes: {PROCESSES} for {seconds:.0f} s")
    with bench.database() as database:
        library = Library(database)
        await library.setup()
        try:
            await library.open()
            await library.load(ids)
            turns = await asyncio.gather(*(apart(work, database, seconds) for _ in range(PROCESSES)))
            kept = await library.count(ids)
        finally:
            await library.close()
        ((_, deadlocks),) = await asyncio.to_thread(execute, database.url, _DEADLOCKS)
    latencies = Turn(seconds, [latency for turn in turns for latency in turn.latencies])
    failed = sum((turn.errors for turn in turns), Counter[str]())
    row = [
        f"{latencies.operations:,}",
        rate(sum(turn.rate for turn in turns)),
        *(milliseconds(latencies.percentile(percent)) for percent in (50, 99, 99.9)),
        milliseconds(max(latencies.latencies, default=float("nan"))),
        share(latencies.operations - kept, latencies.operations),
        errors(failed),
        str(deadlocks),
    ]
    columns = ["updates", "updates/s", "p50 ms", "p99 ms", "p99.9 ms", "longest ms", "lost", "errors", "deadlocks"]
    text = (
        f"{PROCESSES} processes with {CALLERS} callers each update the same {SESSIONS} sessions for {seconds:.0f} "
        "seconds: each caller takes one at random, over and over. Lost is what callers were told had been written and "
        "is not in the counters; deadlocks are those that PostgreSQL counted."
    )
    return Section("Several processes", text, [Table("", columns, [row], words=frozenset({"errors"}))])


async def work(database: Database, seconds: float) -> Turn:
    """What one process does."""
    library = Library(database)

    async def update(session: str) -> None:
        await library.read_modify_write(session, change)

    try:
        await library.open()
        return await drive_for(seconds, update, SessionIds(SESSIONS), CALLERS)
    finally:
        await library.close()
