"""Figures as tables show them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from .bench import Bench, Results, Summary
from .contestants import BASELINE
from .report import Table

NONE = "-"


class Described(Protocol):
    """A contestant, as a table shows it."""

    @property
    def job(self) -> str:
        """How its job differs from the library's."""
        ...


def rate(value: float) -> str:
    return f"{value:,.0f}"


def ratio(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def milliseconds(seconds: float) -> str:
    return NONE if math.isnan(seconds) else f"{seconds * 1000:.2f}"


def mebibytes(size: float) -> str:
    return f"{size / 2**20:,.1f}"


def share(part: int, whole: int) -> str:
    """How many of how many, in percent as well where there are any."""
    return f"{part:,}" if not part or not whole else f"{part:,} of {whole:,} ({part / whole:.1%})"


def errors(counts: Counter[str]) -> str:
    """How many errors, and what the most frequent one was."""
    if not counts:
        return "0"
    (text, _), *_ = counts.most_common(1)
    return f"{counts.total():,}: {text}"


def turns_table(
    bench: Bench,
    results: Results,
    callers: int,
    *,
    title: str,
    unit: str,
    writes: bool,
    of: Mapping[str, Described] | None = None,
) -> Table:
    """One row for each contestant: how many, how long it took, what was lost, and how its job differs.

    Args:
        bench: The run.
        results: What the contestants' turns gave.
        callers: The number of callers that the table is of.
        title: Above the table.
        unit: What is counted a second.
        writes: Whether there is something to lose; only what was kept is counted then.
        of: The contestants; None: those of the run. Beside them stands who failed.
    """
    contestants: Mapping[str, Described] = bench.contestants if of is None else of
    columns = ["contestant", unit, f"x {BASELINE}", "p50 ms", "p95 ms", "p99 ms", *(["lost"] if writes else [])]
    rows = []
    names = bench.options.contestants if of is None else dict.fromkeys([*of, *results.failures])
    for name in names:
        summary = results.of(name, callers)
        if summary is None:
            if name in results.failures:
                rows.append([name, *[NONE] * (len(columns) - 1), results.failures[name], ""])
            continue
        words = results.failures.get(name) or errors(summary.errors)
        job = contestants[name].job
        rows.append([name, *_figures(summary, writes=writes), words, job])
    return Table(title, [*columns, "errors", "differs"], rows, words=frozenset({"errors", "differs"}))


def _figures(summary: Summary, *, writes: bool) -> Sequence[str]:
    lost = [] if not writes else [NONE if summary.lost is None else share(summary.lost, summary.operations)]
    return [
        rate(summary.kept_rate),
        ratio(summary.ratio()),
        *(milliseconds(summary.percentile(percent)) for percent in (50, 95, 99)),
        *lost,
    ]
