"""Whether the number of rows matters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from statistics import median

from ..bench import Bench
from ..contestant import Task
from ..contestants.library import Library
from ..contestants.raw_psycopg import RawPsycopg
from ..driving import Turn
from ..figures import errors, milliseconds, rate, ratio
from ..report import Section, Table
from ..rows import copy_rows, execute, sessions_in
from ..states import SessionIds

_TASKS = (Task.GET, Task.READ_MODIFY_WRITE)


async def run(bench: Bench) -> Section:
    """One caller on random sessions of a small table and of a large one, in turns."""
    sizes = {"small": bench.options.sizes.small_rows, "large": bench.options.sizes.large_rows}
    turns: dict[tuple[str, Task, str], list[Turn]] = {}
    with bench.database() as database:
        for schema, count in sizes.items():
            bench.console.print(f"growth: copying {count:,} rows")
            await asyncio.to_thread(database.migrate, schema=schema)
            await asyncio.to_thread(copy_rows, database.url, sessions_in(schema), count)
            await asyncio.to_thread(execute, database.url, f"VACUUM (ANALYZE) {schema}.sessions")
        await asyncio.to_thread(execute, database.url, "CHECKPOINT")
        for number in range(bench.options.rounds):
            bench.console.print(f"growth: round {number + 1} of {bench.options.rounds}")
            for name, kind in (("sessionstore", Library), ("psycopg", RawPsycopg)):
                # Now the small one first, and now the large one: neither has the better moments.
                for schema, count in list(sizes.items())[:: 1 if number % 2 else -1]:
                    contestant = kind(database, schema=schema)
                    try:
                        await contestant.open()
                        for task in _TASKS:
                            turn = await contestant.turn(
                                task,
                                SessionIds(count),
                                callers=1,
                                seconds=bench.options.seconds,
                                warm_up=bench.options.warm_up,
                                counted=False,
                            )
                            turns.setdefault((name, task, schema), []).append(turn)
                    finally:
                        await contestant.close()
    rows = [
        _row(name, task, sizes[schema], turns[name, task, schema], turns[name, task, "small"])
        for task in _TASKS
        for name in ("sessionstore", "psycopg")
        for schema in sizes
    ]
    small, large = (f"{count:,} rows" for count in sizes.values())
    columns = ["contestant", "task", "rows", "ops/s", "p50 ms", "p95 ms", "p99 ms", "errors", "x small", "p50 x small"]
    text = (
        f"One caller on sessions taken at random from a table of {small} and from one of {large}, filled by COPY and "
        "vacuumed. The last columns are throughput and median latency in times of the small table's, by the round."
    )
    return Section("Growth", text, [Table("", columns, rows, words=frozenset({"task"}))])


def _row(name: str, task: Task, count: int, found: Sequence[Turn], small: Sequence[Turn]) -> list[str]:
    pairs = [(turn, few) for turn, few in zip(found, small, strict=True) if few.rate]
    return [
        name,
        task.value,
        f"{count:,}",
        rate(median(turn.rate for turn in found)),
        *(milliseconds(median(turn.percentile(percent) for turn in found)) for percent in (50, 95, 99)),
        errors(sum((turn.errors for turn in found), Counter())),
        ratio(median(many.rate / few.rate for many, few in pairs) if pairs else None),
        ratio(median(many.percentile(50) / few.percentile(50) for many, few in pairs) if pairs else None),
    ]
