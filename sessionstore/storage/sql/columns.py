"""What statements select of a session's row, and what they do to its expiry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Table, Text, func, literal_column

from ...journal import ID_CHARS
from .dialect import Backend
from .expiry import Sliding, sliding

_Element: TypeAlias = ColumnElement[Any]
_Reading: TypeAlias = Callable[[_Element], _Element]


class Columns(NamedTuple):
    """A row as statements read it.

    Attributes:
        sliding: What an access does to its expiry.
        summary: Its metadata.
        document: Its metadata and its state.
    """

    sliding: Sliding
    summary: Sequence[_Element]
    document: Sequence[_Element]


def plain_columns(table: Table, now: _Element, backend: Backend) -> Columns:
    """Rows as this library writes them."""
    return _columns(table, now, backend, _as_it_is, _as_it_is)


def careful_columns(table: Table, now: _Element, backend: Backend) -> Columns:
    """Rows with times and durations that a hand wrote, and that cannot be read or reckoned with as they are."""
    return _columns(table, now, backend, backend.readable, backend.bounded)


def _columns(table: Table, now: _Element, backend: Backend, instant: _Reading, duration: _Reading) -> Columns:
    t = table
    summary = (
        t.c.namespace,
        t.c.session_id,
        t.c.version,
        *(instant(t.c[name]).label(name) for name in ("created_at", "updated_at", "last_accessed_at")),
        *(instant(t.c[name]).label(name) for name in ("expires_at", "deadline")),
        duration(t.c.ttl).label("ttl"),
        backend.text(t.c.origin).label("origin"),
        t.c.owner_id,
        last_write(t).label("last_write"),
    )
    document = (*summary, backend.text(t.c.state).label("state"))
    return Columns(sliding(t, now, duration(t.c.ttl)), summary, document)


def last_write(table: Table) -> _Element:
    """The id of the newest entry of a row's journal."""
    return func.substr(table.c.writes, literal_column("1"), literal_column(str(ID_CHARS)), type_=Text())


def _as_it_is(column: _Element) -> _Element:
    return column
