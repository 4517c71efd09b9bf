"""The statements that append items in one round trip, and that find out what became of appends without an answer.

PostgreSQL only: the statement changes two tables. SQLite appends in a transaction of several statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    case,
    cast,
    column,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql.dml import Update

from ...journal import APPENDS_CHARS, ID_CHARS, MARK
from ..dialects.dialect import Fields
from ..tables import DOCUMENT, VERBATIM
from .columns import Columns
from .terms import KEY_FIELDS, Element, Rows, Terms
from .writing import Writing

ITEMS: Final[Fields] = {"append_id": Text(), "append_entry": Text(), "appended": BigInteger(), "items": DOCUMENT}
"""The fields of items. ``items`` is an array of objects with the members of an element, see `ELEMENT`."""

APPEND: Final[Fields] = {
    **KEY_FIELDS,
    **ITEMS,
    "owner_id": Text(),
    "expected": BigInteger(),
    "digest": Text(),
    "key_chars": Integer(),
}
LOST: Final[Fields] = {**KEY_FIELDS, "append_id": Text()}

ELEMENT: Final[Fields] = {"n": BigInteger(), "i": Text(), "d": Text(), "l": Text(), "v": Integer()}
"""The members of an element of ``items``: its number from 1, the JSON text, the caller's id, the name of the log, and
the shape version if it is not 1."""

_LOST_APPENDS: Final = 16
_LOST_CHARS: Final = _LOST_APPENDS * (1 + ID_CHARS)


class Appending:
    """Builds the statements that append items."""

    def __init__(self, terms: Terms, writing: Writing) -> None:
        self._terms = terms
        self._writing = writing
        self._table = terms.table
        self._items = terms.items

    def unappended(self, rows: Rows, batch: Rows, columns: Columns) -> list[ColumnElement[bool]]:
        """Builds the conditions that an append lands on a row: the row suits it, and did not get it before."""
        return [
            or_(batch.c.owner_id.is_(None), batch.c.owner_id == rows.c.owner_id),
            or_(batch.c.expected.is_(None), batch.c.expected == rows.c.last_position),
            or_(batch.c.digest.is_(None), _lacks(rows.c["keys"], batch.c.digest)),
            _lacks(rows.c.appends, _marked(batch)),
            _lacks(rows.c.lost_appends, _marked(batch)),
        ]

    def counted(self, batch: FromClause, columns: Columns) -> Update:
        """Builds the part that changes the session's row: it counts the items and locks the row for their INSERT."""
        t, now = self._table, batch.c.now
        matched = update(t).where(
            self._terms.matches(batch), *self.unappended(t, batch, columns), self._terms.live(now)
        )
        digest: Any = batch.c.digest
        keys = func.substr(digest.concat(t.c["keys"]), literal_column("1"), batch.c.key_chars, type_=Text())
        return self._with_items(
            matched.values(
                keys=case((digest.is_(None), t.c["keys"]), else_=keys),
                updated_at=now,
                last_accessed_at=now,
                expires_at=columns.sliding(t, now).slid,
            ).returning(*self._terms.range_checked.summary),  # else the driver could fail after the write landed
            batch,
        )

    def appended(self, counted: Update, _: FromClause, columns: Columns) -> Select[Any]:
        """Builds the whole statement of an append: it inserts the items, and selects the summaries."""
        return self.inserting(counted.cte("head"), columns.summary)

    def rewritten(self, batch: FromClause, columns: Columns) -> Update:
        """Builds the part of an update with items that changes the session's row."""
        return self._with_items(self._writing.update(batch, columns), batch)

    def updated(self, rewritten: Update, _: FromClause, columns: Columns) -> Select[Any]:
        """Builds the whole statement of an update with items: it selects the columns of the statement `update`."""
        return self.inserting(rewritten.cte("head"), self._writing.written)

    def _with_items(self, written: Update, batch: FromClause) -> Update:
        """Adds the counters of the items to the change of a row."""
        t = self._table
        entries: Any = batch.c.append_entry.concat(t.c.appends)
        counted = written.values(
            last_position=t.c.last_position + batch.c.appended,
            item_count=t.c.item_count + batch.c.appended,
            appends=_first(entries, APPENDS_CHARS),
        )
        names = ("appended", "items", "append_id")
        # The columns of the row come first: if a column of the batch has the same name, the row's column keeps it.
        return counted.returning(
            t.c.last_position.label("last"), t.c.updated_at.label("at"), *(batch.c[name] for name in names)
        )

    def inserting(self, head: CTE, selected: Sequence[Any]) -> Select[Any]:
        """Builds the statement that inserts the items of rows, and selects columns of the rows.

        Args:
            head: The rows of the sessions after their change, with their items.
            selected: The columns to select.
        """
        members = [column(name, type_) for name, type_ in ELEMENT.items()]
        each = func.jsonb_to_recordset(head.c["items"]).table_valued(*members)
        element = each.render_derived("element", with_types=True).lateral("element")
        values = {
            "namespace": head.c.namespace,
            "session_id": head.c.session_id,
            "log": func.coalesce(element.c.l, literal_column("''", Text())),
            "position": head.c.last - head.c.appended + element.c.n,
            "item": cast(element.c.i, VERBATIM),
            "item_id": element.c.d,
            "write_id": case((element.c.n == literal_column("1"), head.c.append_id)),
            "created_at": head.c.at,
            "item_version": func.coalesce(element.c.v, literal_column("1", Integer())),
        }
        rows = select(*values.values()).select_from(head.join(element, true()))
        inserting = insert(self._items).from_select(list(values), rows, include_defaults=False)
        added = inserting.returning(self._items.c.position).cte("added")
        return select(*(head.c[str(each.key)] for each in selected), _all_kept(head, added))

    def unsettled(self, rows: Rows, batch: Rows, columns: Columns) -> list[ColumnElement[bool]]:
        """Builds the conditions that a lost append has not landed, and is not yet kept from landing later."""
        i = self._items
        landed = (
            select(true())
            .select_from(i)
            .where(
                i.c.namespace == batch.c.namespace,
                i.c.session_id == batch.c.session_id,
                i.c.write_id == batch.c.append_id,
            )
        )
        return [
            _lacks(rows.c.appends, _marked(batch)),
            _lacks(rows.c.lost_appends, _marked(batch)),
            ~landed.exists(),
        ]

    def use_up(self, batch: FromClause, columns: Columns) -> Update:
        """Enters lost appends that have not landed in ``lost_appends``, so that they cannot land any more."""
        t = self._table
        lost: Any = _marked(batch).concat(t.c.lost_appends)
        unsettled = update(t).where(self._terms.matches(batch), *self.unsettled(t, batch, columns))
        return unsettled.values(lost_appends=_first(lost, _LOST_CHARS)).returning(*self._terms.key)

    def settled(self, batch: FromClause) -> Select[Any]:
        """Selects what shows whether lost appends landed: the journals, and the position of the first item."""
        t, i = self._table, self._items
        first = select(func.min(i.c.position)).where(
            i.c.namespace == batch.c.namespace,
            i.c.session_id == batch.c.session_id,
            i.c.write_id == batch.c.append_id,
        )
        columns = (
            *self._terms.range_checked.summary,
            t.c.appends,
            t.c.lost_appends,
            first.scalar_subquery().label("first"),
        )
        return select(*columns).select_from(t.join(batch, self._terms.matches(batch)))


def _all_kept(head: CTE, added: CTE) -> Element:
    """Builds a column that makes the statement fail (division by zero) if a trigger or a policy dropped an item."""
    wanted = select(func.sum(head.c.appended)).scalar_subquery()
    kept = select(func.count()).select_from(added).scalar_subquery()
    one, zero = literal_column("1", Integer()), literal_column("0", Integer())
    divisor: Any = case((kept == wanted, one), else_=zero)
    return one.op("/")(divisor).label("all_kept")


def _marked(batch: Rows) -> Element:
    return literal_column(f"'{MARK}'", Text()).concat(batch.c.append_id)


def _lacks(text: Element, part: Element) -> ColumnElement[bool]:
    position: ColumnElement[int] = func.strpos(text, part, type_=Integer())
    return position == literal_column("0", Integer())


def _first(text: Element, chars: int) -> Element:
    return func.substr(text, literal_column("1"), literal_column(str(chars)), type_=Text())
