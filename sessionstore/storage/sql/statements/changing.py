"""The statements with which a transaction changes items, after it has locked the rows of the sessions."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    true,
    update,
)

from ..dialects.dialect import Fields
from ..drivers.prepared import Statement
from ..tables import KEY
from .terms import KEY_FIELDS, VERSIONED, Element, Parameters, Rows, Terms, same_key
from .writing import Writing, noted, shaped

LOG: Final[Fields] = {**KEY_FIELDS, "log": KEY}
GIVEN_ID: Final[Fields] = {**KEY_FIELDS, "item_id": KEY}
ITEM: Final[Fields] = {
    **LOG,
    "position": BigInteger(),
    "item": Text(),
    "item_id": KEY,
    "write": Text(),
    "item_version": Integer(),
}
_COUNTERS: Final[Fields] = {"last_position": BigInteger(), "item_count": BigInteger(), "appends": Text()}
COUNTED: Final[Fields] = {**KEY_FIELDS, **_COUNTERS, "keys": Text()}
WRITTEN: Final[Fields] = {
    **VERSIONED,
    **_COUNTERS,
    "last_write": Text(),
    "count": BigInteger(),
    "write": Text(),
    "keys": Text(),
    "keys_read": Text(),
    "state_version": Integer(),
}

_KEPT: Final = bindparam("kept", type_=BigInteger())
_KNOWN: Final = bindparam("known", type_=BigInteger())
_POSITION: Final = bindparam("position", type_=BigInteger())
_NO_POSITION: Final = literal_column("0", BigInteger())


class Changing:
    """Builds the statements that change items.

    Their parameter ``now`` is the time at which the rows were locked, so that all parts of a change have one time.
    """

    def __init__(self, terms: Terms, writing: Writing) -> None:
        self._terms = terms
        self._table = terms.table
        self._items = terms.items
        self._writing = writing

    def present(self, batch: FromClause) -> Statement:
        """Selects the ids of the batch that the sessions have already, with the positions of their items."""
        i = self._items
        found = i.join(batch, and_(same_key(i, batch), i.c.item_id == batch.c.item_id, i.c.item_id.is_not(None)))
        return select(i.c.namespace, i.c.session_id, i.c.item_id, i.c.position).select_from(found)

    def add(self, batch: FromClause) -> Statement:
        """Inserts items. The text of an item comes as a JSON string, so that the database keeps it as it is."""
        i = self._items
        values = {
            "namespace": batch.c.namespace,
            "session_id": batch.c.session_id,
            "log": batch.c.log,
            "position": batch.c.position,
            "item": self._terms.backend.verbatim(batch.c.item),
            "item_id": batch.c.item_id,
            "write_id": batch.c.write,
            "created_at": batch.c.now,
            "item_version": batch.c.item_version,
        }
        rows = select(*values.values()).select_from(batch)
        return insert(i).from_select(list(values), rows, include_defaults=False).returning(i.c.position)

    def pop(self) -> Statement:
        """Deletes the newest ``kept`` items of a log, and returns them.

        Deletes no item if the caller does not know the shape version of one of them.
        """
        i, log = self._items, Parameters(LOG)
        gone = delete(i).where(_of_log(i, log), i.c.position > self._behind_newest(log))
        newer = self._newer(log, i.alias("newer"))
        return gone.where(~newer.exists()).returning(*self._stored(i))

    def unknown(self) -> Statement:
        """Selects one of the newest ``kept`` items of a log whose shape version the caller does not know."""
        newer = self._items.alias("newer")
        return self._newer(Parameters(LOG), newer).with_only_columns(*self._stored(newer)).limit(1)

    def cut(self) -> Statement:
        """Deletes the items of a log behind a position."""
        i = self._items
        return delete(i).where(_of_log(i, Parameters(LOG)), i.c.position > _POSITION).returning(i.c.position)

    def trim(self, batch: FromClause) -> Statement:
        """Deletes all items of each log except the newest ``kept`` ones."""
        i, older, backend = self._items, self._items.alias("older"), self._terms.backend
        address: ColumnElement[Any] = literal_column(f"older.{backend.row_id(i)}")
        rows = select(address).select_from(older.join(batch, _of_log(older, batch)))
        chosen = rows.where(older.c.position <= self._behind_newest(batch))
        return delete(i).where(backend.one_of(backend.row_id(i), chosen)).returning(i.c.namespace, i.c.session_id)

    def put(self) -> Statement:
        """Replaces the text of an item."""
        i, version = self._items, bindparam("item_version", type_=Integer())
        text = self._terms.backend.verbatim(bindparam("item", type_=Text()))
        here = and_(_of_log(i, Parameters(LOG)), i.c.position == _POSITION)
        return update(i).where(here).values(item=text, item_version=version).returning(i.c.position)

    def count(self, batch: FromClause) -> Statement:
        """Enters a change of the items in the row of its session, as an access."""
        return self._counted(batch)

    def write(self, batch: FromClause) -> Statement:
        """Does what count() does, and writes a state under its optimistic lock."""
        t = self._table
        values = {
            "state": batch.c.state,
            "version": t.c.version + batch.c["count"],
            "writes": noted(batch.c.write, t),
            **shaped(batch, t),
        }
        return self._counted(batch, *self._writing.as_read(t, batch, self._terms.range_checked), **values)

    def _counted(self, batch: FromClause, *conditions: ColumnElement[bool], **values: Element) -> Statement:
        t, now = self._table, batch.c.now
        counted = update(t).where(self._terms.matches(batch), *conditions)
        return counted.values(
            last_position=batch.c.last_position,
            item_count=batch.c.item_count,
            appends=batch.c.appends,
            keys=func.coalesce(batch.c["keys"], t.c["keys"]),
            updated_at=now,
            last_accessed_at=now,
            expires_at=self._terms.range_checked.sliding(t, now).slid,
            **values,
        ).returning(*self._terms.key, self._terms.expires_at)

    def _newer(self, log: Rows, newer: Any) -> Select[Any]:
        unknown = newer.c.item_version > _KNOWN  # null, and so not true, if the caller can read every version
        return (
            select(true())
            .select_from(newer)
            .where(_of_log(newer, log), newer.c.position > self._behind_newest(log), unknown)
        )

    def _stored(self, rows: Any) -> tuple[Element, ...]:
        text = self._terms.backend.text(rows.c.item).label("item")
        created_at = self._terms.backend.readable(rows.c.created_at).label("created_at")
        return rows.c.position, text, created_at, rows.c.item_version

    def _behind_newest(self, log: Rows) -> Element:
        """Builds the position of the newest item of a log that is not among its newest ``kept`` items; 0: none."""
        there: Any = self._items.alias("there")
        positions = select(there.c.position).where(_of_log(there, log)).order_by(there.c.position.desc())
        return func.coalesce(positions.limit(1).offset(_KEPT).scalar_subquery(), _NO_POSITION, type_=BigInteger())


def _of_log(items: Rows, log: Rows) -> ColumnElement[bool]:
    return and_(same_key(items, log), items.c.log == log.c.log)
