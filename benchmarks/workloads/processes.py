"""Several processes that update the same sessions."""

from __future__ import annotations

import asyncio

from ..bench import SESSIONS, Bench
from ..contestants.library import Library
from ..figures import errors, milliseconds, rate, share
from ..processes import Job, Processes
from ..report import Section, Table
from ..rows import counted, execute
from ..states import SessionIds

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
        finally:
            await library.close()
        with Processes(PROCESSES) as processes:
            turn = (await processes.update(Job("sessionstore", database, ids, CALLERS, seconds))).turn
        kept = await asyncio.to_thread(counted, database.url)
        ((_, deadlocks),) = await asyncio.to_thread(execute, database.url, _DEADLOCKS)
    row = [
        f"{turn.operations:,}",
        rate(turn.rate),
        *(milliseconds(turn.percentile(percent)) for percent in (50, 99, 99.9)),
        milliseconds(max(turn.latencies, default=float("nan"))),
        share(turn.operations - kept, turn.operations),
        errors(turn.errors),
        str(deadlocks),
    ]
    columns = ["updates", "updates/s", "p50 ms", "p99 ms", "p99.9 ms", "longest ms", "lost", "errors", "deadlocks"]
    text = (
        f"{PROCESSES} processes with {CALLERS} callers each update the same {SESSIONS} sessions for {seconds:.0f} "
        "seconds: each caller takes one at random, over and over. Lost is what callers were told had been written and "
        "is not in the counters; deadlocks are those that PostgreSQL counted."
    )
    return Section("Several processes", text, [Table("", columns, [row], words=frozenset({"errors"}))])
