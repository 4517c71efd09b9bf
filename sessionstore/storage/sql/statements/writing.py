"""The statements that change sessions: updates and touches. They skip rows that other transactions hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Text, func, literal_column, or_, update
from sqlalchemy.sql.dml import Update

from ...journal import JOURNAL_CHARS
from .columns import Columns, last_write, of_items
from .terms import Element, Rows, Terms


class Writing:
    """Builds the statements that change sessions."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._table = terms.table

    @property
    def written(self) -> Sequence[Element]:
        """The columns that an update returns."""
        t = self._table
        return (
            *self._terms.key,
            t.c.updated_at,
            self._terms.expires_at,
            of_items(t, "last_position"),
            of_items(t, "item_count"),
        )

    def as_read(self, rows: Rows, batch: Rows, columns: Columns) -> list[ColumnElement[bool]]:
        """Builds the optimistic lock: a row still has the version and the last write that the caller read.

        The version alone is not enough: after a restore, a version can come back with another state. A write that adds
        an idempotency key also needs the keys that the caller read: appends add keys without changing the version.
        """
        return [
            rows.c.version == batch.c.version,
            last_write(rows) == batch.c.last_write,
            or_(batch.c.keys_read.is_(None), batch.c.keys_read == rows.c["keys"]),
        ]

    def update(self, batch: FromClause, columns: Columns) -> Update:
        t, now = self._table, batch.c.now
        matched = update(t).where(self._terms.matches(batch), *self.as_read(t, batch, columns), self._terms.live(now))
        return matched.values(
            state=batch.c.state,
            version=t.c.version + batch.c["count"],
            writes=noted(batch.c.write, t),
            keys=func.coalesce(batch.c["keys"], t.c["keys"]),
            **shaped(batch, t),
            updated_at=now,
            last_accessed_at=now,
            expires_at=columns.sliding(t, now).slid,
        ).returning(*self.written)

    def to_move(self, rows: Rows, batch: Rows, columns: Columns) -> list[ColumnElement[bool]]:
        """Builds the condition that a row is live and that an access has to move its expiry.

        Other rows are not locked, because a row lock writes to the page of the row.
        """
        now = batch.c.get("now", self._terms.now)
        return [self._terms.live(now, rows), columns.sliding(rows, now).due]

    def touch(self, batch: FromClause, columns: Columns) -> Update:
        t, now = self._table, batch.c.now
        sliding = columns.sliding(t, now)
        touched = update(t).where(self._terms.matches(batch), self._terms.live(now), sliding.due)
        slid = touched.values(expires_at=sliding.slid, last_accessed_at=now)
        return slid.returning(*self._terms.key, t.c.last_accessed_at, self._terms.expires_at)


def shaped(batch: Rows, rows: Rows) -> dict[str, Element]:
    """Builds the values of the two columns of the shape; empty if the tables lack these columns."""
    if rows.c.get("state_version") is None:
        return {}
    return {"state_version": batch.c.state_version, "state_version_at": rows.c.version + batch.c["count"]}


def noted(made: Element, rows: Rows) -> Element:
    """Builds the journal of a row with one more entry, the newest first."""
    entries: Any = made.concat(rows.c.writes)
    return func.substr(entries, literal_column("1"), literal_column(str(JOURNAL_CHARS)), type_=Text())
