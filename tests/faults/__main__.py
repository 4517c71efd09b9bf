"""The long form: python -m tests.faults [--only KIND ...] [--share SHARE] [--report FILE]."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from .faults import SOAKS
from .mutants import judged, verdicts
from .server import Cluster, running_cluster
from .tally import Row, table


def main() -> int:
    """Runs what is asked for, prints the table and everything for which the library has to answer."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SOAKS, default=list(SOAKS), help="these kinds of faults")
    parser.add_argument("--share", type=float, default=1.0, help="of the number of times, say 0.1 (default: 1)")
    parser.add_argument("--report", type=Path, help="a file for the table, as Markdown")
    parser.add_argument("--no-mutants", action="store_true", help="do not break the library itself at the end")
    arguments = parser.parse_args()
    rows = _run(arguments.only, arguments.share)
    complaints = [complaint for row in rows for complaint in row.complaints()]
    report = table(rows)
    if not arguments.no_mutants:
        found = list(verdicts())
        report += f"\n{judged(found)}"
        complaints += [f"not noticed: {it.mutant.name}" for it in found if not (it.passed_before and it.failed_after)]
    _say(report)
    if arguments.report is not None:
        arguments.report.write_text(report)
    _say("".join(f"{complaint}\n" for complaint in complaints))
    return 1 if complaints else 0


def _run(kinds: Iterable[str], share: float) -> list[Row]:
    rows: list[Row] = []
    with running_cluster() as cluster:
        for kind in kinds:
            began = time.monotonic()
            rows += asyncio.run(_soak(cluster, kind, max(1, math.ceil(share * SOAKS[kind].long))))
            _say(f"{kind}: {time.monotonic() - began:.0f} s\n")
    return rows


async def _soak(cluster: Cluster, kind: str, times: int) -> list[Row]:
    return await SOAKS[kind].run(cluster, times)


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
