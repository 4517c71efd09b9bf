"""What the statements are made of: the table, its columns, the time, and which rows are meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import BigInteger, Boolean, ColumnElement, FromClause, Table, and_, bindparam, func, or_, true

from ..dialects.dialect import Backend, Fields
from ..tables import DOCUMENT, KEY, Instant
from .columns import Columns

Element: TypeAlias = ColumnElement[Any]

KEY_FIELDS: Final[Fields] = {"namespace": KEY, "session_id": KEY}
VERSIONED: Final[Fields] = {**KEY_FIELDS, "state": DOCUMENT, "version": BigInteger()}

LIMIT: Final = bindparam("limit", type_=BigInteger())


class Rows(Protocol):
    """The table, an alias of it, or rows of another statement that have the same columns."""

    @property
    def c(self) -> Any:
        """The columns, by their names."""
        ...


class Terms:
    """The terms of the statements for one table of one database.

    Attributes:
        table: The sessions.
        deletions: The receipts of deletions; None: this database needs none.
        backend: The database.
        key: The columns of the key.
        plain: Columns of the fast path, without range checks: for rows that this library wrote.
        range_checked: Columns that bound times and durations which a driver cannot represent.
        now: The time at which it is evaluated, which is after every wait for a lock so far.
        once: The same, once for a whole statement that has no batch.
        started: When the statement arrived. It may be from before a wait, but an index answers conditions on it well.
        expires_at: The expiry as drivers read it.
        journal: The columns of the journal.
    """

    def __init__(self, table: Table, deletions: Table | None, backend: Backend) -> None:
        self.table = table
        self.deletions = deletions
        self.backend = backend
        self.key = (table.c.namespace, table.c.session_id)
        self.plain = Columns.plain(table, backend)
        self.range_checked = Columns.range_checked(table, backend)
        given = bindparam("now", type_=Instant())
        self.now = backend.now(given)
        self.once = backend.once(self.now)
        self.started = backend.started(given)
        # Of what is written, it alone may be what a hand wrote; and what was written has to be told.
        self.expires_at = backend.readable(table.c.expires_at).label("expires_at")
        self.journal = (table.c.writes, table.c["keys"])

    def live(self, now: Element, rows: Rows | None = None) -> ColumnElement[bool]:
        """Whether a row is live at this time."""
        expires_at = (self.table if rows is None else rows).c.expires_at
        return or_(expires_at.is_(None), expires_at > now)

    def was_live(self, now: Element) -> ColumnElement[bool]:
        """The same of a row that is deleted: of such a one, SQLite 3.40 takes NULL IS NULL for false."""
        return func.coalesce(self.table.c.expires_at > now, true(), type_=Boolean())

    def matches(self, batch: FromClause) -> ColumnElement[bool]:
        """Whether a row has the key of a row of the batch."""
        return same_key(self.table, batch)


def same_key(rows: Rows, others: Rows) -> ColumnElement[bool]:
    """Whether two rows have the same key."""
    return and_(rows.c.namespace == others.c.namespace, rows.c.session_id == others.c.session_id)


class Parameters:
    """A batch of one row, as the parameters that it is made of."""

    def __init__(self, fields: Fields) -> None:
        self.c: Mapping[str, Any] = _Columns({name: bindparam(name, type_=type_) for name, type_ in fields.items()})


class _Columns(dict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        return self[name]
