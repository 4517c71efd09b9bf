"""Answers to changes of items that a test loses, if it has a way into the provider."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol, TypeAlias

from sessionstore import StorageProvider


class Loss(Enum):
    """What becomes of a change whose answer is lost."""

    LANDED = auto()
    NEVER = auto()
    LATE = auto()


class LostAnswers(Protocol):
    """Stands between a provider and its database.

    Attributes:
        losses: What becomes of the next changes; empty: no answer is lost.
    """

    losses: list[Loss]

    async def land(self) -> None:
        """Has the late changes land."""
        ...


LoseAnswers: TypeAlias = Callable[[StorageProvider], LostAnswers | None]
"""Stands before a provider; None: there is no way in."""
