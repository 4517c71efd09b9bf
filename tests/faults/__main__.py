"""The long form: python -m tests.faults [--only KIND ...] [--share SHARE] [--report FILE]."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from sessionstore.testing.postgres import postgres_server
from tests.input.flood import flooded, pour

from .faults import SOAKS
from .mutants import judged, verdicts
from .server import Cluster, running_cluster
from .tally import Row, table

_DOCUMENTS: Final = "documents"
_MUTANTS: Final = "mutants"
_MOST_DOCUMENTS: Final = 100_000


class _Soak:
    """What is run, what it found, and everything for which the library has to answer.

    Args:
        kinds: Of faults, and whether the library is to be flooded with documents, and broken itself.
        share: Of the number of times.
    """

    def __init__(self, kinds: Collection[str], share: float) -> None:
        self._kinds = kinds
        self._share = share
        self.tables: list[str] = []
        self.complaints: list[str] = []

    def run(self) -> None:
        faults = [kind for kind in self._kinds if kind in SOAKS]
        if faults:
            self._break(faults)
        if _DOCUMENTS in self._kinds:
            self._flood()
        if _MUTANTS in self._kinds:
            self._mutate()

    def _break(self, faults: Collection[str]) -> None:
        rows: list[Row] = []
        with running_cluster() as cluster:
            for kind in faults:
                began = time.monotonic()
                rows += asyncio.run(self._soaked(cluster, kind))
                _say(f"{kind}: {time.monotonic() - began:.0f} s\n")
        self.tables.append(table(rows))
        self.complaints += [complaint for row in rows for complaint in row.complaints()]

    async def _soaked(self, cluster: Cluster, kind: str) -> list[Row]:
        return await SOAKS[kind].run(cluster, self._times(SOAKS[kind].long))

    def _flood(self) -> None:
        began = time.monotonic()
        try:
            with postgres_server() as server, server.fresh_database() as database:
                self.tables.append(flooded(pour(database.migrate(), self._times(_MOST_DOCUMENTS))))
        except AssertionError as error:
            self.complaints.append(f"neither kept nor refused: {error}")
        _say(f"{_DOCUMENTS}: {time.monotonic() - began:.0f} s\n")

    def _mutate(self) -> None:
        began = time.monotonic()
        found = list(verdicts())
        self.tables.append(judged(found))
        self.complaints += [
            f"not noticed: {it.mutant.name}" for it in found if not (it.passed_before and it.failed_after)
        ]
        _say(f"{_MUTANTS}: {time.monotonic() - began:.0f} s\n")

    def _times(self, most: int) -> int:
        return max(1, math.ceil(self._share * most))


def main() -> int:
    """Runs what is asked for, prints the tables and everything for which the library has to answer."""
    kinds = [*SOAKS, _DOCUMENTS, _MUTANTS]
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds, help="these kinds of faults")
    parser.add_argument("--share", type=float, default=1.0, help="of the number of times, say 0.1 (default: 1)")
    parser.add_argument("--report", type=Path, help="a file for the tables, as Markdown")
    arguments = parser.parse_args()
    soak = _Soak(arguments.only, arguments.share)
    soak.run()
    report = "\n".join(soak.tables)
    _say(report)
    if arguments.report is not None:
        arguments.report.write_text(report)
    _say("".join(f"{complaint}\n" for complaint in soak.complaints))
    return 1 if soak.complaints else 0


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
