"""Whether the client's memory grows with the number of updates."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import psutil

from sessionstore.testing.postgres import Database

from ..apart import apart
from ..bench import Bench
from ..contestants.library import Library
from ..figures import mebibytes
from ..report import Section, Table
from ..states import SessionIds, change

_SESSIONS = 1_000
_CALLERS = 16
_STEPS = 10
_TRACED = 10


async def run(bench: Bench) -> Section:
    """Many updates of 1,000 sessions, with a look at the process's memory in between."""
    updates = bench.options.sizes.memory_updates
    tables = []
    for title, count, trace in (("resident set", updates, False), ("allocated by Python", updates // _TRACED, True)):
        step = max(1, count // _STEPS)
        bench.console.print(f"memory: {count:,} updates, {title}")
        with bench.database() as database:
            found = await apart(measure, database, min(_SESSIONS, step), step, trace)
        rows = [[f"{number * step:,}", *map(mebibytes, figures)] for number, figures in enumerate(found)]
        columns = ["updates", "MiB", "at most"] if trace else ["updates", "MiB"]
        tables.append(Table(title, columns, rows))
    text = (
        f"{updates:,} updates of up to {_SESSIONS:,} sessions by {_CALLERS} callers, in a process that does nothing "
        "else, after every session has been updated once: its resident set, in MiB. Then, in another process, what "
        f"Python has allocated from the first row on, which costs so much to trace that it is {updates // _TRACED:,}."
    )
    return Section("Client memory", text, tables)


async def measure(database: Database, sessions: int, step: int, trace: bool) -> list[tuple[int, ...]]:
    """The resident set, or traced memory now and the most of it so far: at first, and after each step of updates."""
    process = psutil.Process()
    library = Library(database)
    await library.setup()
    ids = SessionIds(sessions)
    found: list[tuple[int, ...]] = []
    try:
        await library.open()
        await library.load(ids)
        await _update(library, ids, sessions)
        gc.collect()
        if trace:
            tracemalloc.start()
        for number in range(_STEPS + 1):
            if number:
                await _update(library, ids, step)
            gc.collect()
            found.append(tracemalloc.get_traced_memory() if trace else (process.memory_info().rss,))
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
