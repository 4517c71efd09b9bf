"""The expiry of sessions in SQL: the same arithmetic as `lifetime.py`."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, case, literal_column

from ...lifetime import SLACK

_Element: TypeAlias = ColumnElement[Any]


class Sliding(NamedTuple):
    """The effect that an access has on the expiry of a row.

    Attributes:
        due: Whether the access has to move the expiry.
        slid: The expiry after the access.
    """

    due: ColumnElement[bool]
    slid: _Element


def sliding(rows: Any, now: _Element, ttl: _Element) -> Sliding:
    """Builds the effect that an access at this time has on the expiry of rows with this TTL."""
    expires_at, deadline = rows.c.expires_at, rows.c.deadline
    due = expires_at < _capped(now + ttl, deadline)
    return Sliding(due, case((due, _capped(_far(now, ttl), deadline)), else_=expires_at))


def first_expiry(now: _Element, ttl: _Element, deadline: _Element) -> _Element:
    """Builds the expiry of a session that is created now."""
    return case((ttl.is_(None), deadline), else_=_capped(_far(now, ttl), deadline))


def _capped(expires_at: _Element, deadline: _Element) -> _Element:
    return case((deadline < expires_at, deadline), else_=expires_at)


def _far(now: _Element, ttl: _Element) -> _Element:
    # op("/") is integer division in SQLite, which counts microseconds. SQLAlchemy's own `/` would give a fraction.
    return now + ttl + ttl.op("/", return_type=ttl.type)(literal_column(str(SLACK)))
