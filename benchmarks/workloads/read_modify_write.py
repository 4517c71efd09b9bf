"""Read, modify, write over 64 sessions."""

from __future__ import annotations

from ..bench import SESSIONS, Bench
from ..contestant import Task
from ..figures import turns_table
from ..report import Plot, Section
from .plotted import latencies, throughput

CALLERS = (1, 16, 64)


async def run(bench: Bench) -> Section:
    """One caller, then several: each takes one of the sessions at random, reads its state, changes it, writes it."""
    results = await bench.rounds(Task.READ_MODIFY_WRITE, bench.sessions, CALLERS)
    tables = [
        turns_table(bench, results, callers, title=_title(callers), unit="RMW kept/s", writes=True)
        for callers in CALLERS
    ]
    plots: list[Plot] = [
        throughput(bench, results, CALLERS, name="rmw-throughput", title="Read, modify, write: throughput by callers"),
        *(
            latencies(
                bench, results, callers, name=f"rmw-latency-{callers}", title=f"Read, modify, write: {_title(callers)}"
            )
            for callers in CALLERS[:2]
        ),
    ]
    text = (
        f"Each caller takes one of {SESSIONS} sessions at random, loads its state of 2 KB, changes two fields and "
        "saves it, over and over. Two callers may meet on a session, so there are conflicts: whoever writes over "
        "another's update without a look has lost it, which the counters in the states show. What was "
        "lost is not counted as speed."
    )
    return Section("Read, modify, write", text, tables, plots)


def _title(callers: int) -> str:
    return "one caller" if callers == 1 else f"{callers} callers"
