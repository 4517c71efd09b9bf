"""Writes that land late, after their answers were lost, after other writes, or after a look-up of their outcome."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from sessionstore import StorageError

Landing: TypeAlias = Callable[[], Awaitable[object]]
"""Makes a write that was sent earlier."""


class UnderWay:
    """Holds the late writes to one database.

    Attributes:
        late: How many of the next writes will be late.

    Args:
        turns: Decides at random when the writes land.
    """

    def __init__(self, turns: random.Random) -> None:
        self.late = 0
        self._turns = turns
        self._landings: list[Landing] = []

    def take(self, landing: Landing) -> bool:
        """Takes a write that is to be late, and returns whether it did. The answer of a late write is lost."""
        if not self.late:
            return False
        self.late -= 1
        self._landings.append(landing)
        return True

    async def land_perhaps(self) -> None:
        """Lets one late write land, or none."""
        if self._landings and not self._turns.randrange(4):
            await self._land(self._turns.randrange(len(self._landings)))

    async def land_all(self) -> None:
        """Lets all late writes land."""
        while self._landings:
            await self._land(0)

    async def _land(self, at: int) -> None:
        landing = self._landings.pop(at)
        with suppress(StorageError):  # nobody gets the answer of a late write, nor its error
            await landing()
