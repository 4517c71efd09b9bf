"""When sessions expire: the arithmetic of `lifetime.py` a second time, in SQL."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, case, literal_column

from ...lifetime import SLACK

_Element: TypeAlias = ColumnElement[Any]


class Sliding(NamedTuple):
    """What an access does to the expiry of a row.

    Attributes:
        due: Whether it has to be moved.
        slid: The expiry afterwards, moved or not.
    """

    due: ColumnElement[bool]
    slid: _Element


def sliding(rows: Any, now: _Element, ttl: _Element) -> Sliding:
    """What an access at some time does to the expiry of rows, which have this TTL."""
    expires_at, deadline = rows.c.expires_at, rows.c.deadline
    due = expires_at < _capped(now + ttl, deadline)
    return Sliding(due, case((due, _capped(_far(now, ttl), deadline)), else_=expires_at))


def first_expiry(now: _Element, ttl: _Element, deadline: _Element) -> _Element:
    """When a session that is created now expires if nobody accesses it."""
    return case((ttl.is_(None), deadline), else_=_capped(_far(now, ttl), deadline))


def _capped(expires_at: _Element, deadline: _Element) -> _Element:
    return case((deadline < expires_at, deadline), else_=expires_at)


def _far(now: _Element, ttl: _Element) -> _Element:
    # A plain "/": SQLAlchemy's own would make a fraction of it, and a microsecond is the least there is.
    return now + ttl + ttl.op("/", return_type=ttl.type)(literal_column(str(SLACK)))
