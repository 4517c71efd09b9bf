"""What statements select of a session's row, and what they do to its expiry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Table, Text, func, literal_column

from ...journal import ID_CHARS
from ..dialects.dialect import Backend
from .expiry import Sliding, sliding

_Element: TypeAlias = ColumnElement[Any]
_Reading: TypeAlias = Callable[[_Element], _Element]


@dataclass(frozen=True, slots=True)
class Columns:
    """A row as statements read it.

    Attributes:
        summary: Its metadata.
        document: Its metadata and its state.
    """

    summary: Sequence[_Element]
    document: Sequence[_Element]
    _duration: _Reading

    @classmethod
    def plain(cls, table: Table, backend: Backend) -> Columns:
        """Rows as this library writes them."""
        return cls._read(table, backend, _as_it_is, _as_it_is)

    @classmethod
    def range_checked(cls, table: Table, backend: Backend) -> Columns:
        """Rows with times and durations that a hand wrote, and that cannot be read or reckoned with as they are."""
        return cls._read(table, backend, backend.readable, backend.bounded)

    @classmethod
    def _read(cls, table: Table, backend: Backend, instant: _Reading, duration: _Reading) -> Columns:
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
        return cls(summary, (*summary, backend.text(t.c.state).label("state")), duration)

    def sliding(self, rows: Any, now: _Element) -> Sliding:
        """What an access at this time does to the expiry of the table's rows, or of an alias's."""
        return sliding(rows, now, self._duration(rows.c.ttl))


def last_write(rows: Any) -> _Element:
    """The id of the newest entry of a row's journal."""
    return func.substr(rows.c.writes, literal_column("1"), literal_column(str(ID_CHARS)), type_=Text())


def _as_it_is(column: _Element) -> _Element:
    return column
