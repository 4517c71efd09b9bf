"""Reading, over 64 sessions."""

from __future__ import annotations

from ..bench import SESSIONS, Bench
from ..contestant import Task
from ..figures import turns_table
from ..report import Section
from .plotted import latencies, throughput

CALLERS = (1, 16, 64)


async def run(bench: Bench) -> Section:
    """One caller, then several: each reads one of the sessions at random."""
    results = await bench.rounds(Task.GET, bench.sessions, CALLERS)
    tables = [
        turns_table(bench, results, callers, title=_title(callers), unit="reads/s", writes=False) for callers in CALLERS
    ]
    plots = [
        throughput(bench, results, CALLERS, name="get-throughput", title="Read: throughput by callers"),
        *(
            latencies(bench, results, callers, name=f"get-latency-{callers}", title=f"Read: {_title(callers)}")
            for callers in CALLERS[:2]
        ),
    ]
    text = (
        f"Each caller reads one of {SESSIONS} sessions at random and decodes its state, over and over. Where a "
        "contestant's expiry slides with a read, the read does that too."
    )
    return Section("Read", text, tables, plots)


def _title(callers: int) -> str:
    return "one caller" if callers == 1 else f"{callers} callers"
