"""A run: contestants on one server, and the rounds in which each of them has its turn."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import product
from statistics import median
from typing import Any, Final, TypeVar

from rich.console import Console

from sessionstore.testing.postgres import Database, PostgresServer

from .contestant import Contestant, Task
from .contestants import BASELINE, MANY_SESSIONS_ONLY, ONE_SESSION_ONLY, contestant_class
from .driving import Turn, in_words
from .options import Options
from .server import benchmark_database
from .states import SessionIds

R = TypeVar("R")

SESSIONS: Final = 64

_PATIENCE: Final = 120
"""Seconds after which somebody's turns are no longer waited for."""


@dataclass
class Results:
    """Turns by contestant and number of callers, and why somebody has none."""

    turns: dict[tuple[str, int], list[Turn]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, callers: int, turn: Turn) -> None:
        self.turns.setdefault((name, callers), []).append(turn)

    def of(self, name: str, callers: int) -> Summary | None:
        """What a contestant's turns come to; None: it had none to speak of."""
        turns = self.turns.get((name, callers), [])
        return Summary(turns, self.turns.get((BASELINE, callers), [])) if turns else None


@dataclass(frozen=True)
class Summary:
    """Medians over the turns of all rounds."""

    turns: Sequence[Turn]
    baseline: Sequence[Turn]

    @property
    def kept_rate(self) -> float:
        return median(turn.kept_rate for turn in self.turns)

    def ratio(self) -> float | None:
        """Times the baseline, by the round: both then had the same moods of the machine. None: there is none.

        What was lost does not count, and the baseline loses nothing.
        """
        if len(self.turns) != len(self.baseline) or not all(turn.rate for turn in self.baseline):
            return None
        pairs = zip(self.turns, self.baseline, strict=True)
        return median(turn.kept_rate / base.rate for turn, base in pairs)

    def percentile(self, percent: float) -> float:
        return median(turn.percentile(percent) for turn in self.turns)

    @property
    def lost(self) -> int | None:
        counts = [turn.lost for turn in self.turns if turn.lost is not None]
        return sum(counts) if counts else None

    @property
    def operations(self) -> int:
        return sum(turn.operations for turn in self.turns)

    @property
    def errors(self) -> Counter[str]:
        return sum((turn.errors for turn in self.turns), Counter[str]())


class Bench:
    """What workloads are given.

    Attributes:
        options: What is to be run.
        server: Where.
        console: Where progress is told.
        contestants: Those that could be set up and loaded, by name.
        failures: Why the others could not.
    """

    def __init__(self, options: Options, server: PostgresServer, console: Console) -> None:
        self.options = options
        self.server = server
        self.console = console
        self.sessions = SessionIds(SESSIONS)
        self.contestants: dict[str, Contestant] = {}
        self.failures: dict[str, str] = {}
        self._databases = ExitStack()

    async def enrol(self) -> None:
        """Sets up each contestant on a database of its own, and loads its sessions. Nobody's failure is another's."""
        for name in self.options.contestants:
            self.console.print(f"setting up {name}")
            try:
                database = self._databases.enter_context(benchmark_database(self.server))
                contestant = contestant_class(name)(database)
                await _in_time(self._set_up(contestant))
            except ImportError as error:
                self.failures[name] = f"not installed, or not all of it: {in_words(error)}"
            except Exception as error:  # noqa: BLE001  # any: it is told in the tables
                self.failures[name] = f"could not be set up: {in_words(error)}"
            else:
                self.contestants[name] = contestant
        gc.collect()
        # What was imported stays, and nobody's garbage collection needs to look at it again.
        gc.freeze()

    def close(self) -> None:
        """Drops the databases."""
        gc.unfreeze()
        self._databases.close()

    @contextmanager
    def database(self) -> Iterator[Database]:
        """A database of a workload's own."""
        with benchmark_database(self.server) as database:
            yield database

    async def rounds(self, task: Task, sessions: Sequence[str], callers: Sequence[int]) -> Results:
        """Everybody has a turn in every round, for each number of callers; who begins is another in each round."""
        results = Results(failures=dict(self.failures))
        many = len(sessions) > 1
        excluded = ONE_SESSION_ONLY if many else MANY_SESSIONS_ONLY
        names = [name for name in self.contestants if name not in excluded]
        for number in range(self.options.rounds):
            self.console.print(f"{task.value}: round {number + 1} of {self.options.rounds}")
            first = number % len(names) if names else 0
            # One number of callers after the other, so that turns that are compared are close together.
            for count, name in product(callers, names[first:] + names[:first]):
                if name in results.failures:
                    continue
                try:
                    results.add(name, count, await _in_time(self._play(name, task, sessions, count)))
                except Exception as error:  # noqa: BLE001  # any: it is told in the tables
                    results.failures[name] = f"failed in round {number + 1}: {in_words(error)}"
        for name in excluded:
            results.failures.pop(name, None)
        return results

    async def _set_up(self, contestant: Contestant) -> None:
        try:
            await contestant.setup()
            await contestant.open()
            await contestant.load(self.sessions)
        finally:
            await contestant.close()

    async def _play(self, name: str, task: Task, sessions: Sequence[str], callers: int) -> Turn:
        contestant = self.contestants[name]
        seconds, warm_up = self.options.seconds, self.options.warm_up
        try:
            await contestant.open()
            return await contestant.turn(task, sessions, callers=callers, seconds=seconds, warm_up=warm_up)
        finally:
            await contestant.close()


async def _in_time(work: Coroutine[Any, Any, R]) -> R:
    async with asyncio.timeout(_PATIENCE):
        return await work
