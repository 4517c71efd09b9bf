"""Retries of a call whose rows could not all be written: pauses with backoff, and their limits."""

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
from ..faults import UNIQUE_VIOLATION
from .answers import held, not_kept

Held: TypeAlias = Callable[[Collection[Key]], Awaitable[Collection[Key]]]
"""Returns which of the keys belong to rows that another transaction holds."""

HELD_SECONDS: Final = 30.0
"""How many seconds another transaction may hold a row before the call fails."""

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
_FRUITLESS: Final = 10
"""How many rounds may write nothing although no transaction holds the row. Concurrent creations and deletions of the
session explain a few such rounds."""
_DUPLICATES: Final = 10


class Rounds:
    """The pauses of one call between its rounds. The call keeps no connection during a pause."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._began = monotonic()
        self._pause = _FIRST_PAUSE
        self._fruitless: Counter[Key] = Counter()
        self._duplicates = 0

    async def again(
        self, sent: Collection[Key], pending: Collection[Key], *, unwritten: bool = False
    ) -> Collection[Key]:
        """Pauses before the next round, until another round may write something.

        Args:
            sent: The keys that the last round sent and did not write.
            pending: All keys that are not yet written.
            unwritten: Whether nothing of the call was written so far.

        Returns:
            The pending keys whose rows no other transaction holds.

        Raises:
            StorageError: The database drops the writes, although no transaction holds the rows.
            StorageUnavailableError: Another transaction holds a row for too long.
        """
        taken = set(await self._held(sent))
        for key in sent:
            self._fruitless[key] = 0 if key in taken else self._fruitless[key] + 1
        if swallowed := [key for key in sent if self._fruitless[key] >= _FRUITLESS]:
            raise not_kept(swallowed)
        return await self.until_free(pending, unwritten=unwritten)

    async def until_free(self, pending: Collection[Key], *, unwritten: bool) -> Collection[Key]:
        """Pauses until a row of these keys is held by no other transaction.

        Only reads are sent during the wait. So a caller that is timed out during the wait is told that nothing was
        written. In the middle of a write, this would not be known.

        Args:
            pending: The keys.
            unwritten: Whether nothing of the call was written so far.

        Returns:
            The keys whose rows no other transaction holds.

        Raises:
            StorageUnavailableError: As pause().
        """
        while True:
            await self.pause(pending, unwritten=unwritten)
            held = set(await self._held(pending))
            if free := [key for key in pending if key not in held]:
                return free

    async def pause(self, waiting: Collection[Key], *, unwritten: bool = False) -> None:
        """Pauses because other transactions hold rows.

        Args:
            waiting: The keys of the rows.
            unwritten: Whether nothing of the call was written so far.

        Raises:
            StorageUnavailableError: The call has waited for HELD_SECONDS.
        """
        waited = monotonic() - self._began
        if waited >= HELD_SECONDS:
            raise held(waiting, round(waited, 1))
        if unwritten:
            nothing_written()
        # With jitter, so that calls that wait for one row do not retry at the same time.
        await asyncio.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause)

    async def refused(self, error: StorageError) -> None:
        """Pauses after a unique violation, which REINDEX CONCURRENTLY may cause for a moment.

        Raises:
            StorageError: The given error, if it is no unique violation, or after too many of them.
        """
        self._duplicates += 1
        if error.code != UNIQUE_VIOLATION or self._duplicates > _DUPLICATES:
            raise error
        await self.pause(())
