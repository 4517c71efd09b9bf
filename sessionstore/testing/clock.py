"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# The microseconds reveal a provider that rounds. The summer date reveals a provider that forgets the time zone.
START = datetime(2031, 7, 15, 9, 26, 53, 589793, tzinfo=UTC)


class ManualClock:
    """The ``clock=`` of a storage in a test: call it for the time, and move it with ``advance()``.

    Args:
        now: The aware UTC time that the clock starts at.

    Attributes:
        now: The time that the clock gives.
    """

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        """Moves the clock forward, or backward by a negative duration."""
        self.now += by
