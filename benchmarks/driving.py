"""Callers at work, each as fast as it can, and what that gave."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeAlias

Call: TypeAlias = Callable[[str], Awaitable[Any]]


@dataclass
class Turn:
    """What one turn gave.

    Attributes:
        seconds: From its beginning to the end of the last operation.
        latencies: In seconds, of each operation that did not fail.
        errors: What failed, and how often.
        lost: Updates that callers were told had been written, and that are not in the counters; None: not counted.
    """

    seconds: float
    latencies: list[float]
    errors: Counter[str] = field(default_factory=Counter)
    lost: int | None = None

    @property
    def operations(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def kept_rate(self) -> float:
        """Operations a second that were not lost."""
        return self.rate * (1 - self.lost / self.operations) if self.lost and self.operations else self.rate

    def percentile(self, percent: float) -> float:
        """The latency that so many percent of the operations did not exceed; NaN without operations."""
        if not self.latencies:
            return float("nan")
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def drive(
    going: Callable[[], bool], call: Call, sessions: Sequence[str], callers: int, *, first: int = 0
) -> Turn:
    """Lets callers call, each on a random session at a time, as long as it is going.

    Callers of one number choose the same sessions in the same order, so those beside each other have different ones.

    Args:
        going: Whether it goes on.
        call: What they do.
        sessions: Which sessions they choose from.
        callers: How many.
        first: The number of the first of them.
    """
    latencies: list[float] = []
    errors: Counter[str] = Counter()

    async def caller(number: int) -> None:
        chance = random.Random(number)  # noqa: S311
        while going():
            session = sessions[chance.randrange(len(sessions))]
            began = perf_counter()
            try:
                await call(session)
            except Exception as error:  # noqa: BLE001  # any: it is counted and told, and the others go on
                errors[in_words(error)] += 1
                # An error may have come without a single switch, and the others want to go on indeed.
                await asyncio.sleep(0)
            else:
                latencies.append(perf_counter() - began)

    began = perf_counter()
    await asyncio.gather(*(caller(first + number) for number in range(callers)))
    return Turn(perf_counter() - began, latencies, errors)


async def drive_for(seconds: float, call: Call, sessions: Sequence[str], callers: int, *, first: int = 0) -> Turn:
    """drive() for a number of seconds."""
    gc.collect()  # so that nobody pays for the garbage of whoever came before
    end = perf_counter() + seconds
    return await drive(lambda: perf_counter() < end, call, sessions, callers, first=first)


def in_words(error: BaseException) -> str:
    """An error as a reader of a table can use it: its class, and the beginning of its message."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
