"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# With microseconds, so that a provider that rounds shows; in summer, so that one that forgets the zone shows.
START = datetime(2031, 7, 15, 9, 26, 53, 589793, tzinfo=UTC)


class ManualClock:
    """The ``clock=`` of a storage in a test: call it for the time, and move it with ``advance()``.

    Args:
        now: The aware UTC time at which it stands.

    Attributes:
        now: The time at which it stands.
    """

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        """Moves the clock, in either direction."""
        self.now += by
