"""Batching: the settings for calls that are sent to the storage together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from .errors import ConfigurationError

LARGEST_BATCH: Final = 0xFFFF
"""The most calls in a batch. A row counts the updates of a write in 16 bits."""

BATCH_CHARS: Final = 4_000_000
"""The most characters of state in a batch; a single longer state goes alone.

A write knows the lengths of its states. A read does not, so its number of keys is chosen by the lengths of the batch
before. The first read of long states after short ones may therefore exceed the limit.
"""


T = TypeVar("T")


def divided(items: Iterable[T], chars: Callable[[T], int]) -> Iterator[list[T]]:
    """Divides the items of a batch into parts of at most BATCH_CHARS characters. A longer item is a part of its own."""
    part: list[T] = []
    total = 0
    for item in items:
        length = chars(item)
        if part and total + length > BATCH_CHARS:
            yield part
            part, total = [], 0
        part.append(item)
        total += length
    if part:
        yield part


def check_batching(batching: object) -> None:
    """Checks the settings that a storage was given.

    Raises:
        ConfigurationError: The argument is neither a Batching nor None.
    """
    if batching is not None and not isinstance(batching, Batching):
        raise ConfigurationError(f"batching must be a Batching or None, not {type(batching).__name__}")


@dataclass(frozen=True, slots=True)
class Batching:
    """How concurrent calls are sent to the storage together.

    Attributes:
        size: The most calls in a batch, up to 65,535, because a row counts the updates of a write in 16 bits; 1: each
            call is sent alone.
        concurrency: How many batches of each kind (reads, touches, updates) run at once, each on one connection. While
            batches take longer than 10 ms, up to four times as many run.
        remember: For how many seconds an update may begin with the state that this process wrote last (the write
            cache), instead of reading the session; 0: never. If the session has changed, the update takes one
            statement more. No stale state is written or returned.

    Raises:
        ConfigurationError: A value is out of range, or no number.
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
