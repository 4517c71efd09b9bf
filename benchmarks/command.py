"""The command: what to run, from the arguments, and what becomes of it."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from sessionstore.testing.postgres import PostgresServer

from .bench import Bench
from .contestant import POOL_SIZE
from .contestants import BASELINE, CONTESTANTS, contestant_class
from .machine import machine_table
from .options import FULL, FULL_ROUNDS, FULL_SECONDS, SHORT, SHORT_ROUNDS, SHORT_SECONDS, Options
from .report import Report, Section, Table
from .server import benchmark_server
from .workloads import WORKLOADS

_WIDTH = 160

DOCS = Path(__file__).parents[1] / "docs"

_TEXT = f"""
Written by `make bench`, which measures everything anew; nothing in it is written by hand. All contestants work on one
server and on one machine, in turns and round by round, so that all of them have its good and its bad moments; figures
are medians over the rounds. A contestant is alone in its turn, with a pool of {POOL_SIZE} connections of its own.
"x {BASELINE}" is its throughput in times of that of the raw psycopg pool, taken round by round; the median of these is
not always the quotient of two medians. Latencies are in milliseconds, of single operations. States are 2 KB of JSON.
Client and server share the machine's cores.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what the arguments ask for, prints it, and writes the report where all of it was run."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parsed = _parser().parse_args(arguments)
    options = _options(parsed, arguments)
    # Tables are wide, and where nobody reads along there is no terminal to be as wide as.
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    progress = Console(stderr=True, style="dim")
    began = time.monotonic()
    with benchmark_server() as server:
        report = asyncio.run(_run(options, server, progress))
    report.print(console)
    everything = set(options.workloads) == set(WORKLOADS) and set(options.contestants) == set(CONTESTANTS)
    directory = parsed.report or (DOCS if everything else None)
    if directory is not None:
        progress.print(f"written: {report.write(directory).name} and its plots")
    progress.print(f"took {time.monotonic() - began:.0f} s")


async def _run(options: Options, server: PostgresServer, progress: Console) -> Report:
    began = time.monotonic()
    bench = Bench(options, server, progress)
    try:
        await bench.enrol()
        sections = [
            Section("The run", "", [machine_table(server, options)]),
            Section("The contestants", _how(options), [_contestants_table(bench)]),
        ]
        for name in options.workloads:
            progress.rule(f"{name}, after {time.monotonic() - began:.0f} s")
            sections.append(await WORKLOADS[name](bench))
    finally:
        bench.close()
    form = "the short form" if options.form == "short" else "the long form"
    text = " ".join(_TEXT.split())
    return Report("Benchmarks", f"{text} This is {form}.", sections)


def _how(options: Options) -> str:
    missing = "" if BASELINE in options.contestants else f" There are no ratios, because {BASELINE} did not take part."
    return (
        'Each is used as its documentation says. Under "differs" stands what it does less, or does otherwise, than the '
        f"library does: keep a session with a TTL that slides with every access, and lose no update of it.{missing}"
    )


def _contestants_table(bench: Bench) -> Table:
    rows = []
    for name in bench.options.contestants:
        if name in bench.failures:
            rows.append([name, "", "", "", bench.failures[name]])
            continue
        kind = contestant_class(name)
        rows.append([name, kind.version(), kind.driver, kind.job, kind.note])
    columns = ["contestant", "package", "driver", "differs", "how it is used"]
    return Table("", columns, rows, words=frozenset(columns))


def _options(parsed: argparse.Namespace, arguments: Sequence[str]) -> Options:
    return Options(
        workloads=parsed.only,
        contestants=parsed.contestants,
        rounds=parsed.rounds or (FULL_ROUNDS if parsed.full else SHORT_ROUNDS),
        seconds=parsed.seconds or (FULL_SECONDS if parsed.full else SHORT_SECONDS),
        sizes=FULL if parsed.full else SHORT,
        form="long" if parsed.full else "short",
        command=" ".join(["python -m benchmarks", *map(shlex.quote, arguments)]),
    ).scaled(parsed.scale)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures the library beside raw drivers and others that keep sessions.",
    )
    parser.add_argument("--full", action="store_true", help="the long form: some two hours, and 20 GB of disk")
    parser.add_argument("--only", type=_some_of(WORKLOADS), default=tuple(WORKLOADS), help=f"of {','.join(WORKLOADS)}")
    parser.add_argument(
        "--contestants", type=_some_of(CONTESTANTS), default=tuple(CONTESTANTS), help=f"of {','.join(CONTESTANTS)}"
    )
    parser.add_argument("--rounds", type=int, help="how often everybody has a turn")
    parser.add_argument("--seconds", type=float, help="how long a turn is")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="times the rows and updates of hot, growth, reaper, memory"
    )
    parser.add_argument(
        "--report", type=Path, metavar="DIRECTORY", help="where benchmarks.md goes; docs/ if nothing was left out"
    )
    return parser


def _some_of(known: Mapping[str, object]) -> Callable[[str], tuple[str, ...]]:
    def names(text: str) -> tuple[str, ...]:
        asked = text.split(",")
        if unknown := [name for name in asked if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return tuple(name for name in known if name in asked)

    return names
