"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# With microseconds, so that a provider that rounds shows; in summer, so that one that forgets the zone shows.
START = datetime(2031, 7, 15, 9, 26, 53, 589793, tzinfo=UTC)


class ManualClock:
    """Call it for the time; ``advance`` moves it, in either direction."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by
