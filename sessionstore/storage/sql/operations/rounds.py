"""Rounds: what could not be written at once is asked for again, in a while, with a bound."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from time import monotonic
from typing import Final, TypeAlias

from ....concurrency.sent import nothing_written
from ....errors import StorageError
from ... import Key
from .answers import held, not_kept

Held: TypeAlias = Callable[[Collection[Key]], Awaitable[Collection[Key]]]
"""Which of these rows another transaction has locked."""

HELD_SECONDS: Final = 30.0
"""For how long somebody else may hold a row before the call ends with an error."""

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
_FRUITLESS: Final = 10
"""How many rounds may come to nothing although nobody holds the row: others who create and delete it explain some."""
_DUPLICATES: Final = 10
_UNIQUE_VIOLATION: Final = "23505"


class Rounds:
    """The pauses of one call between its rounds. No connection is kept meanwhile."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._began = monotonic()
        self._pause = _FIRST_PAUSE
        self._fruitless: Counter[Key] = Counter()
        self._duplicates = 0

    async def again(self, pending: Collection[Key], *, unwritten: bool = False) -> None:
        """Waits a while before the next round for these.

        Args:
            pending: What is to be written.
            unwritten: Whether nothing of the call was written so far.

        Raises:
            StorageError: The database does not keep what is written, and nobody is in the way.
            StorageUnavailableError: Another transaction holds a row for too long.
        """
        taken = set(await self._held(pending))
        for key in pending:
            self._fruitless[key] = 0 if key in taken else self._fruitless[key] + 1
        if swallowed := [key for key in pending if self._fruitless[key] >= _FRUITLESS]:
            raise not_kept(swallowed)
        await self.pause(pending, unwritten=unwritten)

    async def pause(self, waiting: Collection[Key], *, unwritten: bool = False) -> None:
        """Waits a while for rows that others hold.

        Args:
            waiting: The rows.
            unwritten: Whether nothing of the call was written so far.

        Raises:
            StorageUnavailableError: It has been too long.
        """
        waited = monotonic() - self._began
        if waited >= HELD_SECONDS:
            raise held(waiting, round(waited, 1))
        if unwritten:
            nothing_written()
        # Random, so that those who wait for one row do not come back at once; no secret.
        await asyncio.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause)

    async def refused(self, error: StorageError) -> None:
        """Waits a while after an error that passes: a key that is taken twice for a moment, as by REINDEX CONCURRENTLY.

        Raises:
            StorageError: Any other error, or the same for too long.
        """
        self._duplicates += 1
        if error.code != _UNIQUE_VIOLATION or self._duplicates > _DUPLICATES:
            raise error
        await self.pause(())
