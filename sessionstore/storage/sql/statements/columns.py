"""The columns that statements select from a session's row, with and without range checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from sqlalchemy import BigInteger, ColumnElement, Integer, Table, Text, case, func, literal_column

from ...journal import ID_CHARS
from ..dialects.dialect import Backend
from .expiry import Sliding, sliding

_Element: TypeAlias = ColumnElement[Any]
_Reading: TypeAlias = Callable[[_Element], _Element]


_WITHOUT_ITEMS: Final[Mapping[str, _Element]] = {
    "last_position": literal_column("0", BigInteger()),
    "item_count": literal_column("0", BigInteger()),
    "appends": literal_column("''", Text()),
}


_NO_STATE: Final = literal_column("''", Text()).label("state")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that statements select.

    Attributes:
        summary: The columns of the metadata.
        document: The columns of the metadata, the state and its shape version.
    """

    summary: Sequence[_Element]
    document: Sequence[_Element]
    _duration: _Reading

    @classmethod
    def plain(cls, table: Table, backend: Backend) -> Columns:
        """Builds the columns of the fast path, which read rows that this library wrote."""
        return cls._read(table, backend, _unchecked, _unchecked)

    @classmethod
    def range_checked(cls, table: Table, backend: Backend) -> Columns:
        """Builds the range-checked columns.

        An operator may have written timestamps that the driver cannot represent, or a TTL too long to add to a
        timestamp. These columns give the nearest usable value instead.
        """
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
            of_items(t, "last_position"),
            of_items(t, "item_count"),
        )
        return cls(summary, (*summary, backend.text(t.c.state).label("state"), state_version(t)), duration)

    def stateless(self) -> Columns:
        """Returns the columns with an empty text instead of the state, so that the database does not read the state."""
        document = [_NO_STATE if column.key == "state" else column for column in self.document]
        return replace(self, document=document)

    def sliding(self, rows: Any, now: _Element) -> Sliding:
        """Builds the effect that an access at this time has on the expiry of the rows."""
        return sliding(rows, now, self._duration(rows.c.ttl))


def of_items(rows: Any, name: str) -> _Element:
    """Builds a column about the items of a session; its default if the tables are of the revision without items."""
    column = rows.c.get(name)
    return _WITHOUT_ITEMS[name].label(name) if column is None else column


def last_write(rows: Any) -> _Element:
    """Builds the id of a row's last write: the newest entry of its journal."""
    return func.substr(rows.c.writes, literal_column("1"), literal_column(str(ID_CHARS)), type_=Text())


def state_version(rows: Any) -> _Element:
    """Builds the shape version of a row's state.

    A program that knows only the first revision of the tables changes the state and raises the version, but leaves the
    two columns of the shape alone. So ``state_version`` holds only while ``state_version_at`` equals the version.
    """
    first = literal_column("1", Integer())
    if rows.c.get("state_version") is None:
        return first.label("state_version")
    known = rows.c.state_version_at == rows.c.version
    return case((known, rows.c.state_version), else_=first).label("state_version")


def _unchecked(column: _Element) -> _Element:
    return column
