"""The expiry of sessions, in Python. `sql/statements/expiry.py` has the same rule in SQL.

An access moves the expiry to 1.1 TTL from now, but only if the expiry is less than one TTL away. So a session lives for
1.0 to 1.1 times its TTL after each access, and most accesses write nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

SLACK = 10
"""An access adds TTL / SLACK to the TTL."""

FIRST_TIME: Final = datetime(1, 1, 3, tzinfo=UTC)
LAST_TIME: Final = datetime(9999, 12, 29, tzinfo=UTC)
"""The range of the times of a session. Databases store times outside of Python's range. At the two ends of Python's
range, a driver may fail to convert a time to another time zone."""

LONGEST: Final = timedelta(days=2_000_000)
"""A longer TTL, positive or negative, is cut to this before it is added to a time."""

LONGEST_GRACE: Final = timedelta(days=1_500_000)
"""A longer grace is cut to this before it is subtracted from a time. PostgreSQL's times begin 4,713 years before
FIRST_TIME, so the result is in its range."""


def readable(time: datetime) -> datetime:
    """Returns a time, or the nearest end of the range if the time lies outside."""
    if FIRST_TIME <= time <= LAST_TIME:
        return time
    return FIRST_TIME if time < FIRST_TIME else LAST_TIME


def shifted(time: datetime, by: timedelta) -> datetime:
    """Returns the time plus the duration, or the nearest end of the range if the sum lies outside."""
    try:
        found = time + by
    except OverflowError:
        return LAST_TIME if by > timedelta(0) else FIRST_TIME
    return readable(found)


def deadline_of(created_at: datetime, max_lifetime: timedelta | None) -> datetime | None:
    """Returns the time at which a session expires even if it is accessed; None: no such time."""
    return None if max_lifetime is None else shifted(created_at, max_lifetime)


def first_expiry(now: datetime, ttl: timedelta | None, deadline: datetime | None) -> datetime | None:
    """Returns the expiry of a session that is created now; None: the session never expires."""
    return deadline if ttl is None else _capped(_far(now, ttl), deadline)


def slid_expiry(
    now: datetime, expires_at: datetime | None, ttl: timedelta | None, deadline: datetime | None
) -> datetime | None:
    """Returns the expiry of a session after an access now; None: the session never expires."""
    if ttl is None or expires_at is None or expires_at >= _capped(shifted(now, ttl), deadline):
        return expires_at
    return _capped(_far(now, ttl), deadline)


def _capped(expires_at: datetime, deadline: datetime | None) -> datetime:
    return expires_at if deadline is None or expires_at < deadline else deadline


def _far(now: datetime, ttl: timedelta) -> datetime:
    return shifted(shifted(now, ttl), ttl // SLACK)
