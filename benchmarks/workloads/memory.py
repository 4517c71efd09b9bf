"""Whether the client's memory grows with the number of updates."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import psutil

from tests.support.postgres import Database

from ..apart import apart
from ..bench import Bench
from ..contestants.library import Library
from ..figures import mebibytes
from ..report import Section, Table
from ..states import SessionIds, change

_SESSIONS = 1_000
_CALLERS = 16
_STEPS = 10


async def run(bench: Bench) -> Section:
    """Many updates of 1,000 sessions, with a look at the process's memory in between."""
    updates = bench.options.sizes.memory_updates
    step = max(1, updates // _STEPS)
    sessions = min(_SESSIONS, step)
    bench.console.print(f"memory: {updates:,} updates")
    with bench.database() as database:
        found = await apart(measure, database, sessions, step)
    rows = [[f"{number * step:,}", *map(mebibytes, figures)] for number, figures in enumerate(found)]
    columns = ["updates", "resident set, MiB", "traced by Python, MiB", "at most"]
    text = (
        f"{updates:,} updates of {sessions:,} sessions by {_CALLERS} callers, in a process that does nothing else. Its "
        "resident set, and what Python has allocated from the first row on, after every session has been updated once."
    )
    return Section("Client memory", text, [Table("", columns, rows)])


async def measure(database: Database, sessions: int, step: int) -> list[tuple[int, int, int]]:
    """Resident set, traced memory now, and the most of it so far: at first, and after each step of updates."""
    process = psutil.Process()
    library = Library(database)
    await library.setup()
    ids = SessionIds(sessions)
    found = []
    try:
        await library.open()
        await library.load(ids)
        await _update(library, ids, sessions)
        gc.collect()
        tracemalloc.start()
        for number in range(_STEPS + 1):
            if number:
                await _update(library, ids, step)
            gc.collect()
            found.append((process.memory_info().rss, *tracemalloc.get_traced_memory()))
    finally:
        tracemalloc.stop()
        await library.close()
    return found


async def _update(library: Library, sessions: SessionIds, count: int) -> None:
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await library.read_modify_write(sessions[number % len(sessions)], change)

    await asyncio.gather(*(caller() for _ in range(_CALLERS)))
