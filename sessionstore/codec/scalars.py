"""Compares two values without parts: numbers, texts, times and members of enums."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from .differences import once, other_value

EXACT: Final[frozenset[type]] = frozenset({str, int, bool, type(None), bytes, float, date, datetime, timedelta, UUID})
"""Types without parts, whose values are compared by ``==``. Nearly all values are of one of these types."""


def scalar(_: object, given: Any, read: Any) -> None:
    """Compares by ``==``. Two NaN are the same."""
    if given != read and (given == given or read == read):  # NaN is not equal to itself
        raise other_value(given)


def moment(_: object, given: datetime, read: datetime) -> None:
    """Compares instants. ``==`` does not suffice: when clocks change, it may call equal instants unequal."""
    if given == read:
        return
    if (given.utcoffset() is None) != (read.utcoffset() is None) or given - read != timedelta():
        raise other_value(given)


def time_of_day(_: object, given: time, read: time) -> None:
    """Compares times. A time without a zone differs from a time with one."""
    # ``==`` ignores a zone whose offset depends on the date, so it also holds between times with and without one.
    if given != read or (given.tzinfo is None) != (read.tzinfo is None):
        raise other_value(given)


def decimal(_: object, given: Decimal, read: Decimal) -> None:
    """Compares decimal numbers. Two NaN of the same kind are the same."""
    # NaN is not equal to itself, and a signaling NaN raises when it is compared.
    same = given.as_tuple() == read.as_tuple() if given.is_nan() or read.is_nan() else given == read
    if not same:
        raise other_value(given)


def member_of_enum(_: object, given: Enum, read: Enum) -> None:
    """Compares members of an enum by their values."""
    if given is not read and given.value != read.value:
        raise other_value(given)


def iterator(_: object, given: object, read: object) -> None:
    """Refuses each iterator, because it can be read only once."""
    raise once()
