"""When a session expires: the one rule, in Python. `sql/statements/expiry.py` says the same in SQL.

An access moves the expiry to 1.1 TTL from now, and only where it would otherwise be less than one TTL away. A
session so lives at least its TTL after every access and at most 1.1 times it, and most accesses write nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

SLACK = 10
"""One part in how many of the TTL the expiry is set further than it must be."""


def deadline_of(created_at: datetime, max_lifetime: timedelta | None) -> datetime | None:
    """When a session expires however active it is; None: never for its age."""
    return None if max_lifetime is None else created_at + max_lifetime


def first_expiry(now: datetime, ttl: timedelta | None, deadline: datetime | None) -> datetime | None:
    """When a session that is created now expires if nobody accesses it."""
    return deadline if ttl is None else _capped(now + ttl + ttl // SLACK, deadline)


def slid_expiry(
    now: datetime, expires_at: datetime | None, ttl: timedelta | None, deadline: datetime | None
) -> datetime | None:
    """When a session expires after an access now: unchanged, unless that would be too soon."""
    if ttl is None or expires_at is None or expires_at >= _capped(now + ttl, deadline):
        return expires_at
    return _capped(now + ttl + ttl // SLACK, deadline)


def _capped(expires_at: datetime, deadline: datetime | None) -> datetime:
    return expires_at if deadline is None or expires_at < deadline else deadline
