"""LockWait: how long a migration waits for locks, and its log messages meanwhile."""

from __future__ import annotations

import logging
import random
import time
from datetime import timedelta
from typing import Final

from ..errors import ConfigurationError

LOCK_TIMEOUT: Final = timedelta(minutes=5)
"""How long to wait in PostgreSQL. Another migration of the schema may take minutes."""
BUSY_TIMEOUT: Final = timedelta(seconds=30)
"""How long to wait for a SQLite file that other processes write."""

LONGEST: Final = timedelta(days=20)
"""The longest timeout: PostgreSQL counts milliseconds up to 2**31."""

_UNNOTICED: Final = 1.0
"""Seconds of waiting before the first message. Short waits are normal when many processes start at once."""
_BETWEEN_REPORTS: Final = 10.0
_SHORTEST_TURN: Final = 0.05
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 4.0

_logger = logging.getLogger(__name__.rpartition(".")[0])


class LockWait:
    """The time that one migration has for all its waits. It begins with the first wait.

    Args:
        timeout: The time in all.
    """

    def __init__(self, timeout: timedelta) -> None:
        self.timeout = timeout
        self._end: float | None = None
        self._next_report = 0.0
        self._pauses = 0

    @classmethod
    def of(cls, timeout: object, *, sqlite: bool) -> LockWait:
        """Returns a wait with this timeout; None: the default of the database.

        Raises:
            ConfigurationError: The timeout is no timedelta, not positive, or longer than 20 days.
        """
        if timeout is None:
            return cls(BUSY_TIMEOUT if sqlite else LOCK_TIMEOUT)
        if not isinstance(timeout, timedelta) or not timedelta(0) < timeout <= LONGEST:
            raise ConfigurationError("lock_timeout must be a timedelta, positive and at most 20 days")
        return cls(timeout)

    def turn(self, longest: float) -> int:
        """Returns the milliseconds to wait now: until the next report or the end, from 1 ms to ``longest`` seconds."""
        left = self._left()
        return max(1, int(1000 * min(longest, left, max(_SHORTEST_TURN, self._next_report - time.monotonic()))))

    def share(self, longest: float) -> int:
        """Returns the milliseconds that a wait may take of the time that is left, from 1 ms to ``longest`` seconds."""
        return max(1, int(1000 * min(longest, self._left())))

    def pause(self) -> float:
        """Returns the seconds to leave the tables to others before the next try: longer each time, and random."""
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._pauses)
        self._pauses += 1
        return max(0.0, min(self._left(), random.uniform(longest / 2, longest)))  # noqa: S311  # need not be secure

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self._left() <= 0

    def report(self, whom: str) -> None:
        """Logs what the migration waits for: after a second, and then every ten seconds."""
        left = timedelta(seconds=max(0, round(self._left())))
        now = time.monotonic()
        if now >= self._next_report:
            self._next_report = now + _BETWEEN_REPORTS
            _logger.warning(
                "waiting for %s; for %s at most", whom, shown(left), extra={"seconds": left.total_seconds()}
            )

    def _left(self) -> float:
        if self._end is None:
            now = time.monotonic()
            self._end = now + self.timeout.total_seconds()
            self._next_report = now + _UNNOTICED
        return self._end - time.monotonic()


def shown(duration: timedelta) -> str:
    """Formats a duration for people: 0.02s, 90s, 5m0s, 1h0m0s."""
    seconds = round(duration.total_seconds(), 3)
    if seconds < 60:
        return f"{seconds:g}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"
