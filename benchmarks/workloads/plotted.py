"""The plots that several workloads have in common."""

from __future__ import annotations

from collections.abc import Sequence

from ..bench import Bench, Results
from ..report import Plot

_NAN = float("nan")


def throughput(bench: Bench, results: Results, callers: Sequence[int], *, name: str, title: str) -> Plot:
    """A line for each contestant over the number of callers. Updates that were lost do not count."""
    series = {}
    for contestant in bench.contestants:
        summaries = [results.of(contestant, number) for number in callers]
        if any(summaries):
            series[contestant] = [_NAN if summary is None else summary.kept_rate for summary in summaries]
    ticks = [str(number) for number in callers]
    return Plot(
        name, title, "operations a second that were kept", ticks, series, lines=True, logarithmic=True, along="callers"
    )


def latencies(bench: Bench, results: Results, callers: int, *, name: str, title: str) -> Plot:
    """Three bars for each contestant."""
    found = {contestant: results.of(contestant, callers) for contestant in bench.contestants}
    summaries = {contestant: summary for contestant, summary in found.items() if summary is not None}
    series = {
        f"p{percent}": [summary.percentile(percent) * 1000 for summary in summaries.values()]
        for percent in (50, 95, 99)
    }
    return Plot(name, f"{title}: latency", "milliseconds", list(summaries), series, logarithmic=True)
