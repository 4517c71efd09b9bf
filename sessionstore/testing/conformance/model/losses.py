"""Loses answers to changes of items, in tests that can reach into the provider."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol, TypeAlias

from sessionstore import StorageProvider


class Loss(Enum):
    """What happens to a change whose answer is lost."""

    LANDED = auto()
    NEVER = auto()
    LATE = auto()


class LostAnswers(Protocol):
    """Stands between a provider and its database.

    Attributes:
        losses: What happens to the next changes; empty: no answer is lost.
    """

    losses: list[Loss]

    async def land(self) -> None:
        """Lets the late changes land."""
        ...


LoseAnswers: TypeAlias = Callable[[StorageProvider], LostAnswers | None]
"""Puts a LostAnswers before the database of a provider; None: the test cannot reach into the provider."""
