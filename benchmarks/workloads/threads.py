"""Services without asyncio: threads that read and update 64 sessions."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from itertools import product
from typing import Final

from ..bench import SESSIONS, Bench, Results
from ..contestant import Task
from ..figures import turns_table
from ..report import Section
from ..threads import THREADED
from ..threads.threaded import Threaded

CALLERS: Final = (1, 16, 64)

_TASKS: Final = {Task.GET: "get", Task.READ_MODIFY_WRITE: "update"}


async def run(bench: Bench) -> Section:
    """The contestants take turns: each thread reads, or reads, changes and writes one of the sessions at random."""
    found = {task: Results() for task in _TASKS}
    with ExitStack() as databases:
        contestants: dict[str, Threaded] = {}
        for name, kind in THREADED.items():
            contestants[name] = kind(databases.enter_context(bench.database()))
            await asyncio.to_thread(contestants[name].load, bench.sessions)
        names = list(contestants)
        for number in range(bench.options.rounds):
            bench.console.print(f"threads: round {number + 1} of {bench.options.rounds}")
            first = number % len(names)
            for task, callers, name in product(_TASKS, CALLERS, names[first:] + names[:first]):
                turn = await asyncio.to_thread(
                    contestants[name].turn,
                    task,
                    bench.sessions,
                    callers=callers,
                    seconds=bench.options.seconds,
                    warm_up=bench.options.warm_up,
                )
                found[task].add(name, callers, turn)
    tables = [
        turns_table(
            bench,
            found[task],
            callers,
            title=f"{title}: {'one thread' if callers == 1 else f'{callers} threads'}",
            unit=f"{title}s/s",
            writes=task is not Task.GET,
            of=contestants,
        )
        for task, title in _TASKS.items()
        for callers in CALLERS
    ]
    text = (
        f"Each thread reads one of {SESSIONS} sessions at random (get), or reads it, changes two fields and saves it "
        "(update), over and over, through `sessionstore.sync` or through the synchronous pool of psycopg_pool. All "
        "threads of a process share one event loop in `sessionstore.sync`, so their calls go together."
    )
    return Section("Threads", text, tables)
