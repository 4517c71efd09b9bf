"""Several processes whose callers work at the same time, each process with an event loop and a pool of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from types import TracebackType
from typing import ClassVar, Final, Self

from sessionstore.testing.postgres import Database

from .contestant import POOL_SIZE
from .contestants import contestant_class
from .driving import Turn, drive_for
from .states import change

_PATIENCE: Final = 60
"""Seconds after which the others are no longer waited for."""

_CALLERS: Final = 1_000
"""How far apart the numbers of callers are that are to choose differently."""


@dataclass(frozen=True)
class Job:
    """Updates of random sessions, by as many callers in each process.

    Attributes:
        contestant: Through whom, by name.
        database: Where its sessions are.
        sessions: Which ones.
        callers: How many in each process.
        seconds: For how long.
        warm_up: For how long before, so that connections are made and statements prepared.
    """

    contestant: str
    database: Database
    sessions: Sequence[str]
    callers: int
    seconds: float
    warm_up: float = 0


@dataclass(frozen=True)
class Done:
    """What all processes did together.

    Attributes:
        turn: What counts.
        warm_up: The updates before, which are in the sessions as well.
    """

    turn: Turn
    warm_up: Turn

    @property
    def updates(self) -> int:
        """How many updates callers were told had been written."""
        return self.turn.operations + self.warm_up.operations


class Processes:
    """New processes, until the end of the context.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        context = get_context("spawn")
        self._count = count
        start = context.Barrier(count)
        self._executor = ProcessPoolExecutor(count, context, initializer=_Start.set, initargs=(start,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._executor.shutdown()

    async def update(self, job: Job) -> Done:
        """Lets the callers of all processes update. The time that counts begins in all of them at once."""
        # A process that waits for the others takes no second share.
        shares = [self._executor.submit(_work, number, job) for number in range(self._count)]
        found = await asyncio.gather(*map(asyncio.wrap_future, shares))
        return Done(_together([turn for _, turn in found]), _together([warm_up for warm_up, _ in found]))


class _Start:
    """Where the processes meet before the time that counts."""

    barrier: ClassVar[Barrier]

    @classmethod
    def set(cls, barrier: Barrier) -> None:
        cls.barrier = barrier


def _work(number: int, job: Job) -> tuple[Turn, Turn]:
    """The share of one process: its warm-up, and what counts."""
    try:
        return asyncio.run(_update(number, job))
    except BaseException:
        _Start.barrier.abort()
        raise


async def _update(number: int, job: Job) -> tuple[Turn, Turn]:
    contestant = contestant_class(job.contestant)(job.database)

    async def update(session: str) -> None:
        await contestant.read_modify_write(session, change)

    first = 2 * number * _CALLERS
    try:
        await contestant.open()
        warm_up = await drive_for(job.warm_up, update, job.sessions, max(job.callers, POOL_SIZE), first=first)
        await asyncio.to_thread(_Start.barrier.wait, _PATIENCE)
        turn = await drive_for(job.seconds, update, job.sessions, job.callers, first=first + _CALLERS)
    finally:
        await contestant.close()
    return warm_up, turn


def _together(turns: Sequence[Turn]) -> Turn:
    latencies = [latency for turn in turns for latency in turn.latencies]
    errors = sum((turn.errors for turn in turns), Counter[str]())
    return Turn(max(turn.seconds for turn in turns), latencies, errors)
