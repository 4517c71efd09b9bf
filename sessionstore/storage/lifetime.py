"""The expiry of sessions, in Python. `sql/statements/expiry.py` has the same rule in SQL.

An access moves the expiry to 1.1 TTL from now, but only if the expiry is less than one TTL away. So a session lives for
1.0 to 1.1 times its TTL after each access, and most accesses write nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

SLACK = 10
"""An access adds TTL / SLACK to the TTL."""


def deadline_of(created_at: datetime, max_lifetime: timedelta | None) -> datetime | None:
    """Returns the time at which a session expires even if it is accessed; None: no such time."""
    return None if max_lifetime is None else created_at + max_lifetime


def first_expiry(now: datetime, ttl: timedelta | None, deadline: datetime | None) -> datetime | None:
    """Returns the expiry of a session that is created now; None: the session never expires."""
    return deadline if ttl is None else _capped(now + ttl + ttl // SLACK, deadline)


def slid_expiry(
    now: datetime, expires_at: datetime | None, ttl: timedelta | None, deadline: datetime | None
) -> datetime | None:
    """Returns the expiry of a session after an access now; None: the session never expires."""
    if ttl is None or expires_at is None or expires_at >= _capped(now + ttl, deadline):
        return expires_at
    return _capped(now + ttl + ttl // SLACK, deadline)


def _capped(expires_at: datetime, deadline: datetime | None) -> datetime:
    return expires_at if deadline is None or expires_at < deadline else deadline
