"""The terms that all statements share: the table, its columns, the time, and conditions on rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import BigInteger, Boolean, ColumnElement, FromClause, Table, and_, bindparam, func, or_, true

from ..dialects.dialect import Backend, Fields
from ..tables import DOCUMENT, KEY, Instant
from .columns import Columns, of_items

Element: TypeAlias = ColumnElement[Any]

KEY_FIELDS: Final[Fields] = {"namespace": KEY, "session_id": KEY}
VERSIONED: Final[Fields] = {**KEY_FIELDS, "state": DOCUMENT, "version": BigInteger()}

LIMIT: Final = bindparam("limit", type_=BigInteger())


class Rows(Protocol):
    """The table, an alias of the table, or a subquery with the same columns."""

    @property
    def c(self) -> Any:
        """The columns by name."""
        ...


class Terms:
    """The terms of the statements for one table of one database.

    Attributes:
        table: The table of sessions.
        has_items: Whether the tables have items.
        deletions: The table of deletion receipts; None: this database keeps no receipts.
        backend: The database's own SQL.
        key: The columns of the primary key.
        plain: The columns of the fast path, without range checks: for rows that this library wrote.
        range_checked: The columns with range checks: for timestamps and durations that a driver cannot represent.
        now: The clock, read at each evaluation, and so after any lock wait that came before.
        now_once: The clock, read once per statement. For statements without a batch.
        started: The time at which the statement arrived, which may be before a lock wait. Indexes serve conditions
            on it.
        expires_at: The expiry, range-checked.
        journal: The columns of the write journal.
    """

    def __init__(self, table: Table, items: Table | None, deletions: Table | None, backend: Backend) -> None:
        self.table = table
        self._items = items
        self.has_items = items is not None
        self.deletions = deletions
        self.backend = backend
        self.key = (table.c.namespace, table.c.session_id)
        self.plain = Columns.plain(table, backend)
        self.range_checked = Columns.range_checked(table, backend)
        given = bindparam("now", type_=Instant())
        self.now = backend.now(given)
        self.now_once = backend.now_once(self.now)
        self.started = backend.started(given)
        # An UPDATE may keep an expiry that an operator set out of range. The driver would then fail after the write,
        # and the caller would not learn that the write landed. The UPDATE sets all other timestamps that it returns.
        self.expires_at = backend.readable(table.c.expires_at).label("expires_at")
        self.journal = (table.c.writes, table.c["keys"], of_items(table, "appends"))

    @property
    def items(self) -> Table:
        """The table of items."""
        if self._items is None:
            raise LookupError("the previous revision has no table of items; check has_items before")
        return self._items

    def live(self, now: Element, rows: Rows | None = None) -> ColumnElement[bool]:
        """Builds the condition that a row is live at this time."""
        expires_at = (self.table if rows is None else rows).c.expires_at
        return or_(expires_at.is_(None), expires_at > now)

    def was_live(self, now: Element) -> ColumnElement[bool]:
        """Builds the condition of live() for the RETURNING clause of a DELETE."""
        # Not `expires_at IS NULL`: in RETURNING of a DELETE, SQLite 3.40 evaluates NULL IS NULL as false.
        return func.coalesce(self.table.c.expires_at > now, true(), type_=Boolean())

    def matches(self, batch: FromClause) -> ColumnElement[bool]:
        """Builds the condition that a row of the table has the key of a row of the batch."""
        return same_key(self.table, batch)


def same_key(rows: Rows, others: Rows) -> ColumnElement[bool]:
    """Builds the condition that two rows have the same key."""
    return and_(rows.c.namespace == others.c.namespace, rows.c.session_id == others.c.session_id)


class Parameters:
    """A batch of one row whose columns are bind parameters."""

    def __init__(self, fields: Fields) -> None:
        self.c: Mapping[str, Any] = _Columns({name: bindparam(name, type_=type_) for name, type_ in fields.items()})


class _Columns(dict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        return self[name]
