"""Writes whose answers were lost, and that land late: after others were made, or after somebody looked for them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from sessionstore import StorageError

Landing: TypeAlias = Callable[[], Awaitable[object]]
"""Does a write that was sent."""


class UnderWay:
    """The writes on their way to one database.

    Attributes:
        late: How many of the next writes are late.

    Args:
        turns: Decides when they land.
    """

    def __init__(self, turns: random.Random) -> None:
        self.late = 0
        self._turns = turns
        self._landings: list[Landing] = []

    def take(self, landing: Landing) -> bool:
        """Takes a write, if it is to be late; then its answer is lost, and it lands some time later."""
        if not self.late:
            return False
        self.late -= 1
        self._landings.append(landing)
        return True

    async def land_perhaps(self) -> None:
        """Lets one of them land, or none."""
        if self._landings and not self._turns.randrange(4):
            await self._land(self._turns.randrange(len(self._landings)))

    async def land_all(self) -> None:
        """Lets all of them land that there are."""
        while self._landings:
            await self._land(0)

    async def _land(self, at: int) -> None:
        landing = self._landings.pop(at)
        with suppress(StorageError):  # which is told to nobody, as the answer is
            await landing()
