"""How much goes together: the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .errors import ConfigurationError

LARGEST_BATCH: Final = 0xFFFF
"""The most calls that may go together: a row can count this many updates as one write."""

BATCH_CHARS: Final = 4_000_000
"""How much state goes together at most, unless a single state is more. A write is divided by the lengths of its states.
For a read they are only known afterwards: its number of keys follows from what the batch before it read, so that the
first read of heavy states after light ones may be larger, by as much as they are heavier."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How calls that come at once go together.

    Attributes:
        size: The most calls that go together, up to 65,535, which is what a row can count as one write; 1: none do.
        concurrency: How many batches of a kind (reads, touches, updates) are under way at once, each on a connection.
            While batches take longer than 10 ms, up to four times as many.
        remember: For how many seconds an update may begin with what this process wrote before, without reading it
            again; 0: none does. A wrong guess is never written and never answered from, it costs a statement.

    Raises:
        ConfigurationError: One of them is too small, or the size too large.
    """

    size: int = 128
    concurrency: int = 2
    remember: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("size", self.size), ("concurrency", self.concurrency)):
            if type(value) is not int:
                raise ConfigurationError(f"{name} of a Batching must be a whole number, not {type(value).__name__}")
            if value < 1:
                raise ConfigurationError(f"{name} of a Batching must be at least 1, not {value}")
        if self.size > LARGEST_BATCH:
            raise ConfigurationError(f"size of a Batching must be at most {LARGEST_BATCH}, not {self.size}")
        if type(self.remember) not in (int, float):
            kind = type(self.remember).__name__
            raise ConfigurationError(f"remember of a Batching must be a number of seconds, not {kind}")
        if not self.remember >= 0:
            raise ConfigurationError(f"remember of a Batching must be 0 or more seconds, not {self.remember}")
