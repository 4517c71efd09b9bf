"""What other sessions notice of rows that another transaction holds, under a steady load."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from statistics import median
from time import perf_counter
from typing import Final

import psycopg
from psycopg import sql

from sessionstore.testing.postgres import Database

from ..bench import Bench
from ..contestant import POOL_SIZE
from ..contestants import contestant_class
from ..contestants.library import Library
from ..driving import Turn, drive_for, in_words
from ..figures import errors, milliseconds, ratio
from ..report import Plot, Section, Table
from ..rows import counted, execute, sessions_in
from ..server import libpq_url
from ..states import SessionIds, change

_NAMES: Final = ("sessionstore", "sessionstore-asyncpg")
_HELD: Final = (0, 1, 8, 50)
_FREE: Final = 500
_FREE_CALLS: Final = 150
"""Calls a second on the sessions that nobody holds; every second one is an update."""
_HELD_CALLS: Final = 20
"""Reads a second on the held sessions, and as many updates."""
_TURNS: Final = 3
"""How many usual turns long one is: calls begin by the clock, and a 99th percentile of few says nothing."""

_TABLE = sessions_in("sessionstore")
_HOLD = sql.SQL("SELECT session_id FROM {} WHERE session_id = ANY(%s) FOR UPDATE").format(_TABLE)
# So late that the next access of each session has to move the expiry, also where the row is held.
_AGE = sql.SQL("UPDATE {} SET expires_at = now() + 0.9 * ttl").format(_TABLE)


@dataclass
class Found:
    """One turn: calls on the free sessions, reads and updates of the held ones, and updates that were lost."""

    free: Turn
    reads: Turn
    updates: Turn
    lost: int

    @property
    def errors(self) -> Counter[str]:
        return self.free.errors + self.reads.errors + self.updates.errors


async def run(bench: Bench) -> Section:
    """The same load beside no held rows and beside several, by driver."""
    found: dict[tuple[str, int], list[Found]] = {}
    names = [name for name in _NAMES if name in bench.contestants]
    sessions = SessionIds(_FREE + max(_HELD))
    seconds = bench.options.seconds * _TURNS
    with ExitStack() as databases:
        libraries = {name: await _set_up(name, databases.enter_context(bench.database()), sessions) for name in names}
        for number in range(bench.options.rounds):
            bench.console.print(f"held rows: round {number + 1} of {bench.options.rounds}")
            # Another number of held rows begins in each round, so that none has the best place.
            first = number % len(_HELD)
            for name, library in libraries.items():
                for count in _HELD[first:] + _HELD[:first]:
                    turn = await _turn(library, sessions, count, seconds, bench.options.warm_up)
                    found.setdefault((name, count), []).append(turn)
    text = (
        f"{_FREE_CALLS} calls a second, half reads and half updates, on {_FREE} sessions that nobody holds, while a "
        "transaction of another connection holds the rows of other sessions (SELECT FOR UPDATE). In the same process "
        f"and through the same pool, {_HELD_CALLS} reads and {_HELD_CALLS} updates a second go to the held sessions "
        f"(with none held to {max(_HELD)} free ones). The first access of each session has to move its expiry. Calls "
        "begin by the clock, whatever became of those before, and latencies count from then on. The rows are held "
        'until the end of the turn; the updates of held sessions land after that. "p99 x none" is the 99th percentile '
        "in times of that without held rows, taken round by round."
    )
    return Section("Held rows", text, [_table(names, found)], [_plot(names, found)])


async def _set_up(name: str, database: Database, sessions: Sequence[str]) -> Library:
    contestant = contestant_class(name)(database)
    if not isinstance(contestant, Library):
        raise TypeError(f"{name} is not the library")
    await contestant.setup()
    try:
        await contestant.open()
        await contestant.load(sessions)
    finally:
        await contestant.close()
    return contestant


async def _turn(library: Library, sessions: Sequence[str], count: int, seconds: float, warm_up: float) -> Found:
    free, others = sessions[:_FREE], sessions[_FREE:]
    chance = Random(count)  # noqa: S311
    updated = 0

    async def update(session: str) -> None:
        await library.read_modify_write(session, change)

    async def call(number: int) -> None:
        session = chance.choice(free)
        await (update(session) if number % 2 else library.get(session))

    targets = others[:count] or others

    async def read_held(number: int) -> None:
        await library.get(targets[number % len(targets)])

    async def update_held(number: int) -> None:
        nonlocal updated
        await update(targets[number % len(targets)])
        updated += 1

    async def call_free(number: int) -> None:
        nonlocal updated
        await call(number)
        updated += number % 2

    url = library.database.url
    try:
        await library.open()
        await drive_for(warm_up, update, sessions, POOL_SIZE)
        await asyncio.to_thread(execute, url, _AGE)
        before = await asyncio.to_thread(counted, url)
        gc.collect()
        async with asyncio.TaskGroup() as group, _holding(url, others[:count]):
            reads = group.create_task(_paced(read_held, _HELD_CALLS, seconds))
            updates = group.create_task(_paced(update_held, _HELD_CALLS, seconds))
            turn = await _paced(call_free, _FREE_CALLS, seconds)
        after = await asyncio.to_thread(counted, url)
    finally:
        await library.close()
    return Found(turn, reads.result(), updates.result(), updated - (after - before))


@asynccontextmanager
async def _holding(url: str, sessions: Sequence[str]) -> AsyncIterator[None]:
    """Holds the rows of some sessions in a transaction that writes nothing."""
    async with await psycopg.AsyncConnection.connect(libpq_url(url)) as connection:
        cursor = await connection.execute(_HOLD, [list(sessions)])
        if cursor.rowcount != len(sessions):
            raise RuntimeError(f"{cursor.rowcount} rows are held where {len(sessions)} were to be")
        yield
        await connection.rollback()


async def _paced(call: Callable[[int], Awaitable[object]], rate: int, seconds: float) -> Turn:
    """Begins so many calls a second, and waits for all of them."""
    latencies: list[float] = []
    failed: Counter[str] = Counter()
    began = perf_counter()

    async def timed(number: int, due: float) -> None:
        try:
            await call(number)
        except Exception as error:  # noqa: BLE001  # any: it is counted and told, and the others go on
            failed[in_words(error)] += 1
        else:
            latencies.append(perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        for number in range(max(2, int(rate * seconds))):
            due = began + number / rate
            await asyncio.sleep(due - perf_counter())
            group.create_task(timed(number, due))
    return Turn(perf_counter() - began, latencies, failed)


def _table(names: Sequence[str], found: dict[tuple[str, int], list[Found]]) -> Table:
    rows: list[list[str]] = []
    for name in names:
        alone = found[name, 0]
        for count in _HELD:
            turns = found[name, count]
            pairs = zip(turns, alone, strict=True)
            rows.append(
                [
                    name,
                    str(count),
                    *(milliseconds(median(turn.free.percentile(percent) for turn in turns)) for percent in (50, 99)),
                    ratio(median(turn.free.percentile(99) / base.free.percentile(99) for turn, base in pairs)),
                    milliseconds(median(turn.reads.percentile(99) for turn in turns)),
                    f"{sum(turn.updates.operations for turn in turns):,}",
                    f"{sum(turn.lost for turn in turns):,}",
                    errors(sum((turn.errors for turn in turns), Counter[str]())),
                ]
            )
    columns = [
        "contestant",
        "rows held",
        "p50 ms",
        "p99 ms",
        "p99 x none",
        "held: reads p99 ms",
        "updates that landed",
        "lost",
        "errors",
    ]
    return Table("sessions that nobody holds, beside held rows", columns, rows)


def _plot(names: Sequence[str], found: dict[tuple[str, int], list[Found]]) -> Plot:
    series = {
        name: [1000 * median(turn.free.percentile(99) for turn in found[name, count]) for count in _HELD]
        for name in names
    }
    ticks = [str(count) for count in _HELD]
    title = "Held rows: 99th percentile of calls on other sessions"
    return Plot("held-latency", title, "milliseconds", ticks, series, lines=True, along="rows held")
