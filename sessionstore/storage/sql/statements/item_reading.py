"""The statements that read and find items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    FromClause,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.types import TypeDecorator

from ... import StoredItem, Window
from ...lifetime import FIRST_TIME
from ..drivers.prepared import Statement
from ..tables import instant_of_micros
from .columns import Columns
from .fields import LAST_POSITION, Fields
from .reading import Reading
from .terms import Element, Terms, same_key

_SEPARATOR: Final = "\x1e"
"""Joins items. JSON text has no raw control characters, so no item contains it."""


def packed_ids(ids: Sequence[str]) -> str:
    """Returns the parameter that carries ids of items."""
    return orjson.dumps(ids).decode()


IDS: Final = bindparam("ids", type_=Text())
"""Ids of items, as a JSON array."""


# Skips the Python-level __new__ of named tuples: a window has many items.
_new = tuple.__new__


class Shape(NamedTuple):
    """The form of a window: which conditions it has, without their values. Each form has a statement of its own."""

    newest: bool
    after: bool
    before: bool
    ids: bool
    state: bool = True

    @classmethod
    def of(cls, window: Window) -> Shape:
        """Returns the form of a window."""
        bounds = (window.after is not None, window.before is not None, window.ids is not None)
        return cls(window.newest, *bounds, window.state)


class Items(TypeDecorator[Any]):
    """Items that a statement joined into one text. Read as StoredItems, oldest first."""

    impl = Text
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # a function of one value
        return _split


def _split(joined: str | None) -> tuple[StoredItem, ...]:
    if not joined:
        return ()
    items: list[StoredItem] = []
    last, instant, version = "", FIRST_TIME, 1
    for entry in joined.split(_SEPARATOR):
        position, made, text = entry.split(":", 2)
        if made != last:  # the items of one append have the same time and version
            created_at, _, shape = made.partition("/")
            last, instant, version = made, instant_of_micros(int(created_at)), int(shape or 1)
        items.append(_new(StoredItem, (int(position), text, instant, version)))
    # Databases may join the texts in any order. The sort never compares texts, because positions are unique.
    items.sort()
    return tuple(items)


def window_fields(window: Window) -> Fields:
    """Returns the parameters of a window."""
    return {
        "log": window.log,
        "after": None if window.after is None else _bounded(window.after),
        "before": None if window.before is None else _bounded(window.before),
        "ids": None if window.ids is None else packed_ids(window.ids),
        "limit": _bounded(window.limit),
    }


def _bounded(number: int) -> int:
    return max(-LAST_POSITION, min(number, LAST_POSITION))


class ItemReading:
    """Builds the statements that read sessions with their items, and that find items."""

    def __init__(self, terms: Terms, reading: Reading) -> None:
        self._terms = terms
        self._reading = reading

    def get(self, batch: FromClause, columns: Columns, shape: Shape) -> Select[Any]:
        return self._reading.get(batch, _read(columns, shape)).add_columns(self._joined(shape))

    def get_with_journal(self, batch: FromClause, columns: Columns, shape: Shape) -> Select[Any]:
        return self._reading.get_with_journal(batch, _read(columns, shape)).add_columns(self._joined(shape))

    def logs(self, batch: FromClause) -> Statement:
        """Selects the logs that have items: a row for each log of each live session, and one row with a null log.

        Each step looks up the next name in the primary key, so the cost does not depend on the number of items.
        """
        t, i = self._terms.table, self._terms.items

        def next_of(rows: FromClause, *behind: ColumnElement[bool]) -> Element:
            return select(func.min(i.c.log, type_=Text())).where(same_key(i, rows), *behind).scalar_subquery()

        names = select(batch.c.namespace, batch.c.session_id, next_of(batch).label("log")).cte("names", recursive=True)
        more = select(names.c.namespace, names.c.session_id, next_of(names, i.c.log > names.c.log))
        names = names.union_all(more.where(names.c.log.is_not(None)))
        found = select(*self._terms.range_checked.summary, names.c.log).select_from(t.join(names, same_key(t, names)))
        return found.where(self._terms.live(self._terms.now_once))

    def find(self, *, owned: bool) -> Statement:
        """Selects items by their ids. If several sessions have an item of one id, the first created one is taken."""
        t, i, backend = self._terms.table, self._terms.items, self._terms.backend
        columns = self._terms.range_checked.summary
        rank = func.row_number().over(partition_by=i.c.item_id, order_by=(t.c.created_at, *self._terms.key))
        found = select(
            *columns, i.c.item_id, i.c.position, i.c.item, i.c.created_at.label("appended_at"), i.c.item_version
        )
        candidates = (
            found.add_columns(rank.label("rank"))
            .select_from(i)
            .join(t, (t.c.namespace == i.c.namespace) & (t.c.session_id == i.c.session_id))
            .where(
                i.c.namespace == bindparam("namespace", type_=Text()),
                i.c.item_id.is_not(None),  # so that the partial index serves the query
                backend.one_of_ids(i.c.item_id, IDS),
                self._terms.live(self._terms.now_once),
            )
        )
        if owned:
            candidates = candidates.where(t.c.owner_id == bindparam("owner_id", type_=Text()))
        c = candidates.subquery("candidates").c
        summary = [c[str(column.key)] for column in columns]
        time = backend.readable(c.appended_at)
        item = (c.item_id, c.position, backend.text(c.item).label("item"), time, c.item_version)
        return select(*summary, *item).where(c["rank"] == literal_column("1"))

    def _joined(self, shape: Shape) -> Element:
        """Builds the items of a window, joined into one text.

        Each entry is a position, a time, a shape version if it is not 1, and an item.
        """
        t, i, backend = self._terms.table, self._terms.items, self._terms.backend
        limit, after, before = (bindparam(name, type_=BigInteger()) for name in ("limit", "after", "before"))
        session_id: Element = i.c.session_id
        if shape.ids:
            # The expression keeps the planner from the primary key, so it uses the index of ids. With old statistics,
            # the planner would expect few items in a long session, and read all of them.
            session_id = session_id.concat(literal_column("''", Text()))
        rows = select(i.c.position, i.c.created_at, i.c.item, i.c.item_version).where(
            i.c.namespace == t.c.namespace, session_id == t.c.session_id, i.c.log == bindparam("log", type_=Text())
        )
        if shape.after:
            rows = rows.where(i.c.position > after)
        if shape.before:
            rows = rows.where(i.c.position < before)
        if shape.ids:
            rows = rows.where(i.c.item_id.is_not(None), backend.one_of_ids(i.c.item_id, IDS))
        ordered = rows.order_by(i.c.position.desc() if shape.newest else i.c.position)
        chosen = ordered.limit(backend.at_most(limit)).correlate(t).subquery("chosen").c
        version = case(
            (chosen.item_version == literal_column("1"), literal_column("''", Text())),
            else_=literal_column("'/'", Text()).concat(cast(chosen.item_version, Text)),
        )
        parts = (chosen.position, backend.micros_of(chosen.created_at), version, backend.text(chosen.item))
        joined = select(backend.joined(*parts)).correlate(t).scalar_subquery()
        return type_coerce(joined, Items()).label("items")


def _read(columns: Columns, shape: Shape) -> Columns:
    """Returns the columns without the state, if the window leaves it out."""
    return columns if shape.state else columns.stateless()
