"""Several processes with few callers each, as services run, beside a raw pool in each process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final, NamedTuple

from sessionstore.testing.postgres import Database

from ..bench import Bench, Results
from ..contestants import BASELINE
from ..figures import turns_table
from ..processes import Job, Processes
from ..report import Plot, Section
from ..rows import copy_rows, counted, execute, sessions_in
from ..states import SessionIds

PROCESSES: Final = 4

_NAMES: Final[tuple[str, ...]] = ("sessionstore", "sessionstore-reading", BASELINE)
_TURNS: Final = 3
"""How many usual turns long one is, and the warm-up: what the library remembers has to come and go."""


class Case(NamedTuple):
    """So many callers in each process, on so many sessions."""

    callers: int
    sessions: int

    @property
    def title(self) -> str:
        return f"{PROCESSES} x {self.callers} callers, {self.sessions:,} sessions"


CASES: Final = (Case(2, 2_000), Case(16, 2_000), Case(16, 64))


async def run(bench: Bench) -> Section:
    """The contestants take turns, in the same processes."""
    names = [name for name in _NAMES if name in bench.contestants]
    found = {case: Results() for case in CASES}
    with ExitStack() as databases:
        homes = {name: databases.enter_context(bench.database()) for name in names}
        for database in homes.values():
            await asyncio.to_thread(_fill, database)
        with Processes(PROCESSES) as processes:
            for number in range(bench.options.rounds):
                bench.console.print(f"fleet: round {number + 1} of {bench.options.rounds}")
                first = number % len(names) if names else 0
                order = {name: homes[name] for name in names[first:] + names[:first]}
                for case, results in found.items():
                    await _round(bench, processes, case, order, results)
    tables = [
        turns_table(bench, results, case.callers, title=case.title, unit="updates kept/s", writes=True)
        for case, results in found.items()
    ]
    text = (
        f"{PROCESSES} processes update the same sessions: each caller takes one at random, changes two fields of its "
        "state of 2 KB and saves it, over and over. Each process has an event loop and a pool of its own, and knows "
        "nothing of what the others write. Lost is what callers were told had been written and is not in the counters."
    )
    return Section("Fleet", text, tables, [_plot(names, found)])


def _fill(database: Database) -> None:
    database.migrate()
    copy_rows(database.url, sessions_in("sessionstore"), max(case.sessions for case in CASES))
    execute(database.url, "VACUUM (ANALYZE) sessionstore.sessions")


async def _round(
    bench: Bench, processes: Processes, case: Case, homes: Mapping[str, Database], results: Results
) -> None:
    seconds = bench.options.seconds * _TURNS
    sessions = SessionIds(case.sessions)
    for name, database in homes.items():
        before = await asyncio.to_thread(counted, database.url)
        done = await processes.update(Job(name, database, sessions, case.callers, seconds, warm_up=seconds))
        kept = await asyncio.to_thread(counted, database.url) - before
        done.turn.lost = done.updates - kept
        results.add(name, case.callers, done.turn)


def _plot(names: list[str], found: Mapping[Case, Results]) -> Plot:
    series = {
        name: [_ratio(results, name, case) for case, results in found.items()] for name in names if name != BASELINE
    }
    ticks = [case.title for case in found]
    return Plot("fleet-throughput", "Fleet: throughput", f"updates kept a second, x {BASELINE}", ticks, series)


def _ratio(results: Results, name: str, case: Case) -> float:
    summary = results.of(name, case.callers)
    ratio = None if summary is None else summary.ratio()
    return float("nan") if ratio is None else ratio
