"""One session that everybody writes."""

from __future__ import annotations

from ..bench import Bench
from ..contestant import Task
from ..figures import turns_table
from ..report import Plot, Section
from ..states import SessionIds

CALLERS = 32


async def run(bench: Bench) -> Section:
    """32 callers add one to the counter of one session, over and over."""
    results = await bench.rounds(Task.INCREMENT, SessionIds(1), [CALLERS])
    table = turns_table(
        bench,
        results,
        CALLERS,
        title=f"one session, {CALLERS} callers",
        unit="increments kept/s",
        writes=True,
    )
    found = {name: results.of(name, CALLERS) for name in bench.contestants}
    summaries = {name: summary for name, summary in found.items() if summary is not None}
    lost = {
        name: 100 * summary.lost / summary.operations
        for name, summary in summaries.items()
        if summary.lost is not None and summary.operations
    }
    rates = [summary.kept_rate for summary in summaries.values()]
    title = f"One session, {CALLERS} callers"
    plots = [
        Plot(
            "contended-lost",
            f"{title}: lost updates",
            "% of updates that were reported as written",
            list(lost),
            {"": list(lost.values())},
        ),
        Plot(
            "contended-throughput",
            f"{title}: increments",
            "increments a second that were kept",
            list(summaries),
            {"": rates},
        ),
    ]
    text = (
        f"{CALLERS} callers add one to a counter in the state of one session, over and over. Afterwards the counter is "
        "compared with what the callers were told had been written; what is missing was lost. Only increments that "
        "were kept are counted a second, also in the ratio."
    )
    return Section("Contended", text, [table], plots)
