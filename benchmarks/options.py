"""What is to be run, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True)
class Sizes:
    """How much work the workloads are that end by themselves."""

    hot_updates: int
    small_rows: int
    large_rows: int
    reaper_rows: int
    memory_updates: int
    longest_conversation: int
    conversation_rows: int
    longest_reaped: int

    def scaled(self, scale: float) -> Sizes:
        """The same in small, say for a test; never so small that nothing is left to measure."""
        return Sizes(*(max(200, int(size * scale)) for size in vars(self).values()))


SHORT: Final = Sizes(20_000, 10_000, 1_000_000, 200_000, 20_000, 10_000, 100_000, 100_000)
FULL: Final = Sizes(200_000, 10_000, 10_000_000, 2_000_000, 1_000_000, 10_000, 1_000_000, 100_000)

SHORT_SECONDS: Final = 0.25
FULL_SECONDS: Final = 3.0
SHORT_ROUNDS: Final = 5
FULL_ROUNDS: Final = 7

_LONGEST_WARM_UP: Final = 1.0


@dataclass(frozen=True)
class Options:
    """What the command line asked for.

    Attributes:
        workloads: Which, by name and in this order.
        contestants: Which, by name and in this order.
        rounds: How often everybody has a turn.
        seconds: How long a turn is.
        sizes: Of the workloads that end by themselves.
        form: What to call this run.
        command: How it was started.
    """

    workloads: tuple[str, ...]
    contestants: tuple[str, ...]
    rounds: int = SHORT_ROUNDS
    seconds: float = SHORT_SECONDS
    sizes: Sizes = SHORT
    form: str = "short"
    command: str = "python -m benchmarks"

    @property
    def warm_up(self) -> float:
        """How long callers work before a turn, so that connections are made and statements prepared."""
        return min(_LONGEST_WARM_UP, self.seconds / 2)

    def scaled(self, scale: float) -> Options:
        """The same with smaller sizes."""
        return self if scale == 1 else replace(self, sizes=self.sizes.scaled(scale))
