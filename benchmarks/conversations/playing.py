"""The rounds of those who keep conversations: throughput of appends and turns, and their cost by length."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import psycopg

from ..bench import SESSIONS, Bench, Results
from ..driving import Call, in_words
from ..rows import execute
from ..server import benchmark_database, libpq_url
from ..states import SessionIds
from . import keeper_class, keepers
from .conversations import Conversations

_SEEDED: Final = 50
"""How many messages the conversations have that many callers write."""

GROW_SECONDS: Final = 90.0
"""How long one may take to make conversations of one length."""

_MOST_TURNS: Final = 40
_MOST_ITEMS: Final = 500
"""The number of messages of all conversations of one length, and at least one conversation."""


@dataclass(frozen=True)
class Job:
    """What callers do, over and over.

    Attributes:
        title: In words.
        call: What they do, of a keeper.
        messages: How many messages each call adds.
        sessions: The number of sessions.
        callers: How many callers.
    """

    title: str
    call: Callable[[Conversations], Call]
    messages: int
    sessions: int
    callers: int


def appends(keeper: Conversations) -> Call:
    return keeper.append


def turns(keeper: Conversations) -> Call:
    return keeper.converse


JOBS: Final = [
    Job("one message appended, one caller", appends, 1, SESSIONS, 1),
    Job("one message appended, 64 callers on 64 sessions", appends, 1, SESSIONS, 64),
    Job("a turn, one caller", turns, 2, SESSIONS, 1),
    Job("a turn, 64 callers on 64 sessions", turns, 2, SESSIONS, 64),
    Job("one message appended, 32 callers on one session", appends, 1, 1, 32),
]


@dataclass
class Cost:
    """What calls on conversations of one length cost: milliseconds, bytes of log and seconds of the client's processor.

    Attributes:
        times: Of each call, in seconds, by round.
        log: Bytes of write-ahead log a call, without full-page images, by round.
        processor: Seconds of the client's processor a call, by round.
    """

    times: list[float] = field(default_factory=list)
    log: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


Costs = Mapping[tuple[str, int], Cost]
"""By keeper and length."""


class Company:
    """Those who keep conversations, each with a database of its own."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._databases = ExitStack()
        self.keepers: dict[str, Conversations] = {}
        self.failures: dict[str, str] = {}

    async def gather(self) -> None:
        """Sets up each of them and fills its conversations. Nobody's failure is another's."""
        for name in keepers(self._bench.options.contestants):
            self._bench.console.print(f"conversation: setting up {name}")
            try:
                keeper = keeper_class(name)(self._databases.enter_context(benchmark_database(self._bench.server)))
                await keeper.setup()
                async with _opened(keeper):
                    await keeper.fill(SessionIds(SESSIONS), _SEEDED)
            except ImportError as error:
                self.failures[name] = f"not installed, or not all of it: {in_words(error)}"
            except Exception as error:  # noqa: BLE001  # any: it is told in the tables
                self.failures[name] = f"could not be set up: {in_words(error)}"
            else:
                self.keepers[name] = keeper
        gc.collect()

    def close(self) -> None:
        """Drops the databases."""
        self._databases.close()

    async def play(self, job: Job) -> Results:
        """Everybody does a job in every round; who begins is another in each round."""
        results = Results(failures=dict(self.failures))
        options = self._bench.options
        for number in range(options.rounds):
            self._bench.console.print(f"{job.title}: round {number + 1} of {options.rounds}")
            for name in self._in_turn(number):
                keeper = self.keepers[name]
                if name in results.failures:
                    continue
                try:
                    async with _opened(keeper):
                        turn = await keeper.talk(
                            job.call(keeper),
                            job.messages,
                            SessionIds(job.sessions),
                            callers=job.callers,
                            seconds=options.seconds,
                            warm_up=options.warm_up,
                        )
                    results.add(name, job.callers, turn)
                except Exception as error:  # noqa: BLE001  # any: it is told in the tables
                    results.failures[name] = f"failed in round {number + 1}: {in_words(error)}"
        return results

    async def measure(self, call: Callable[[Conversations], Call], lengths: Sequence[int]) -> Costs:
        """One caller on conversations of each length, in every round."""
        costs: dict[tuple[str, int], Cost] = {}
        sessions = {length: _ids(call, length) for length in lengths}
        await self._grow(sessions, costs)
        for number in range(self._bench.options.rounds):
            self._bench.console.print(f"{call.__name__} by length: round {number + 1} of {self._bench.options.rounds}")
            for name in self._in_turn(number):
                # Now the short ones first, and now the long ones: neither have the better moments.
                grown = [length for length in lengths[:: 1 if number % 2 else -1] if (name, length) in costs]
                async with _opened(self.keepers[name]):
                    for length in grown:
                        cost = costs[name, length]
                        await self._cost(call(self.keepers[name]), name, sessions[length], cost)
        return {where: cost for where, cost in costs.items() if cost.times}

    async def holes(self) -> int:
        """Counts the positions that are missing in the conversations of the library."""
        keeper = self.keepers.get("sessionstore")
        if keeper is None:
            return 0
        missing = 0
        async with _opened(keeper):
            for session in SessionIds(SESSIONS):
                positions = await keeper.positions(session)  # type: ignore[attr-defined]  # of the library only
                missing += len(set(range(1, len(positions) + 1)).symmetric_difference(positions))
        return missing

    async def _grow(self, sessions: Mapping[int, Sequence[str]], costs: dict[tuple[str, int], Cost]) -> None:
        for name, keeper in self.keepers.items():
            async with _opened(keeper):
                for length in sorted(sessions):
                    try:
                        async with asyncio.timeout(GROW_SECONDS):
                            await keeper.fill(sessions[length], length)
                    except TimeoutError:
                        self._bench.console.print(f"{name}: {length:,} messages take too long")
                        break
                    costs[name, length] = Cost()

    async def _cost(self, call: Call, name: str, sessions: Sequence[str], cost: Cost) -> None:
        url = self.keepers[name].database.url
        budget = 4 * self._bench.options.seconds
        await call(sessions[0])
        gc.collect()
        at = _position(url)
        processor = time.process_time()
        times: list[float] = []
        while len(times) < _MOST_TURNS and sum(times) < budget:
            began = time.perf_counter()
            await call(sessions[len(times) % len(sessions)])
            times.append(time.perf_counter() - began)
        processor = time.process_time() - processor
        cost.times.append(median(times))
        cost.processor.append(processor / len(times))
        cost.log.append(logged(url, at) / len(times))

    def _in_turn(self, number: int) -> Sequence[str]:
        names = list(self.keepers)
        first = number % len(names) if names else 0
        return names[first:] + names[:first]


def logged(url: str, since: str) -> float:
    """The bytes of the write-ahead log since a position, without full-page images where the server can tell them."""
    until = _position(url)
    [(size,)] = execute(url, f"SELECT pg_wal_lsn_diff('{until}', '{since}')")
    try:
        [(images,)] = execute(
            url,
            "CREATE EXTENSION IF NOT EXISTS pg_walinspect",
            f"SELECT coalesce(sum(fpi_size), 0) FROM pg_get_wal_stats('{since}', '{until}')",
        )
    except psycopg.Error:
        images = 0
    return float(size) - float(images)


def _position(url: str) -> str:
    # A forced flush, so that pg_walinspect can read up to here.
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute("SELECT pg_logical_emit_message(true, 'bench', '')")
        row = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
    assert row is not None
    return str(row[0])


def _ids(call: Callable[[Conversations], Call], length: int) -> Sequence[str]:
    count = max(1, min(SESSIONS, _MOST_ITEMS // length))
    return [f"{call.__name__}-{length}-{number}" for number in range(count)]


@asynccontextmanager
async def _opened(keeper: Conversations) -> AsyncIterator[None]:
    try:
        await keeper.open()
        yield
    finally:
        await keeper.close()
