"""All statements of one table. Each is built and compiled once, at its first use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import BigInteger, ColumnElement, FromClause, Integer, Table, Text, bindparam, select
from sqlalchemy.sql.dml import Update
from sqlalchemy.types import TypeEngine

from ... import Key, Place
from ..dialects.dialect import Backend, Fields
from ..drivers.prepared import Prepared, Statement
from ..tables import DOCUMENT, is_document
from .appending import APPEND, ITEMS, LOST, Appending
from .changing import COUNTED, GIVEN_ID, ITEM, LOG, WRITTEN, Changing
from .columns import Columns
from .creating import Creating
from .deleting import Deleting
from .forking import FORK, Forking
from .founding import Founding
from .item_reading import ItemReading, Shape
from .reading import Reading
from .reshaping import REWRITE, Reshaping
from .terms import KEY_FIELDS, VERSIONED, Element, Parameters, Rows, Terms, same_key
from .writing import Writing

_WRITE: Final[Fields] = {
    **VERSIONED,
    "last_write": Text(),
    "count": BigInteger(),
    "write": Text(),
    "keys": Text(),
    "keys_read": Text(),
    "state_version": Integer(),
}
_DRAFT: Final[Fields] = {
    **VERSIONED,
    "ttl": BigInteger(),
    "max_lifetime": BigInteger(),
    "origin": DOCUMENT,
    "owner_id": Text(),
    "state_version": Integer(),
}
_SETTING: Final[Fields] = {**_DRAFT, "write": Text(), "count": BigInteger()}
_DELETION: Final[Fields] = {
    **KEY_FIELDS,
    "receipt": Text(),
    "owner_id": Text(),
    "version": BigInteger(),
    "last_write": Text(),
}

_Build: TypeAlias = Callable[[Columns], Statement]
Conditions: TypeAlias = Callable[[Table], Sequence[ColumnElement[bool]]]
"""Builds conditions on the rows of a table."""

_Complete: TypeAlias = Callable[[Update, FromClause, Columns], Statement]
_Wanted: TypeAlias = Callable[[Rows, Rows, Columns], list[ColumnElement[bool]]]
"""Builds the conditions on a row that is to be written, apart from its key: from the row, the batch and the columns."""


class Pair(NamedTuple):
    """One statement in two forms.

    Attributes:
        one: For one row, with one parameter per field.
        many: For many rows, with one JSON parameter for all of them.
    """

    one: Prepared
    many: Prepared


class Statements:
    """The statements for one table of one database.

    Args:
        table: The table of sessions.
        items: The table of items; None: there is no such table, and no statement that needs it.
        deletions: The table of deletion receipts; None: there is none.
        backend: The database.
        previous: The statements for the tables of the previous revision; None: the tables are of that revision.

    Attributes:
        one_writer: Whether the database runs one writing statement at a time, whichever rows it writes.
    """

    def __init__(
        self,
        table: Table,
        items: Table | None,
        deletions: Table | None,
        backend: Backend,
        previous: Statements | None = None,
    ) -> None:
        self._table = table
        self._backend = backend
        self.one_writer = backend.one_writer
        self._terms = Terms(table, items, deletions, backend)
        reading, writing = Reading(self._terms), Writing(self._terms)
        creating, deleting = Creating(self._terms, reading), Deleting(self._terms)
        self._reading, self._deleting = reading, deleting

        self.get = self._read(KEY_FIELDS, reading.get)
        self.get_with_journal = self._read(KEY_FIELDS, reading.get_with_journal)
        self.update = self._written(_WRITE, writing.update, writing.as_read)
        self.touch = self._written(KEY_FIELDS, writing.touch, writing.to_move)

        self.get_locked = self._pair(KEY_FIELDS, reading.get_locked)
        self.exists = self._pair(KEY_FIELDS, reading.exists)
        self.held = self._pair(KEY_FIELDS, reading.held)
        self.create = self._pair(_DRAFT, creating.create)
        self.set = self._pair(_SETTING, creating.set)
        self.set_together = self._pair(_SETTING, creating.set, creating.set_together)
        self.renew = self._pair(_SETTING, creating.renew)
        self.renew_together = self._pair(_SETTING, creating.renew, creating.renew_together)
        self.delete = self._pair(_DELETION, deleting.delete)
        self.receipts = self._pair({"receipt": Text()}, deleting.noted_receipts)
        self.use_up_receipts = self._pair({"receipt": Text()}, deleting.use_up_receipts)
        self.forget_receipts = (
            None if deletions is None else self._prepare(partial(deleting.forget_receipts, deletions))
        )
        self.creations_under_way = None if deletions is None else self._prepare(partial(creating.under_way, deletions))
        self.purge = self._prepare(deleting.purge)
        self.count_expired = self._prepare(deleting.count_expired)
        forking = Forking(self._terms)
        self.fork = self._pair(FORK, forking.fork)
        self.copy_items = self._prepare(forking.copy_items)
        self._previous = previous
        if items is not None:
            self._add_item_statements(reading, writing)
        if previous is not None:
            self._link(previous)

    def _add_item_statements(self, reading: Reading, writing: Writing) -> None:
        appending, changing = Appending(self._terms, writing), Changing(self._terms, writing)
        self._item_reading = ItemReading(self._terms, reading)
        self._windows: dict[tuple[Shape, bool], Pair] = {}

        self.append = self._written(APPEND, appending.counted, appending.unappended, appending.appended)
        founding = Founding(self._terms, appending, Creating(self._terms, reading))
        self.append_or_create = self._written(
            {**_DRAFT, **APPEND}, founding.counted, appending.unappended, founding.appended
        )
        self.append_to_found = self._written(
            {**APPEND, "version": BigInteger()}, founding.counted, appending.unappended, appending.appended
        )
        self.update_with_items = self._written(
            {**_WRITE, **ITEMS}, appending.rewritten, writing.as_read, appending.updated
        )
        self.use_up_appends = self._written(LOST, appending.use_up, appending.unsettled)
        self.settled_appends = self._pair(LOST, appending.settled)

        self.lock = self._pair(KEY_FIELDS, reading.lock)
        self.present_items = self._pair(GIVEN_ID, changing.present)
        self.add_items = self._pair(ITEM, changing.add)
        self.trim_items = self._pair(LOG, changing.trim)
        self.pop_items = self._prepare(changing.pop)
        self.unknown_items = self._prepare(changing.unknown)
        self.cut_items = self._prepare(changing.cut)
        self.put_item = self._prepare(changing.put)
        self.count_items = self._pair(COUNTED, changing.count)
        self.write_with_items = self._pair(WRITTEN, changing.write)

        reshaping = Reshaping(self._terms, writing)
        self.outdated = self._prepare(reshaping.outdated)
        self.rewrite = self._written(_WRITE, reshaping.rewrite, writing.as_read)
        self.outdated_items = self._prepare(reshaping.outdated_items)
        self.rewrite_items = self._pair(REWRITE, reshaping.rewrite_items)

        self.logs = self._pair(KEY_FIELDS, self._item_reading.logs)
        self.find = self._prepare(lambda: self._item_reading.find(owned=False))
        self.find_owned = self._prepare(lambda: self._item_reading.find(owned=True))

    def _link(self, previous: Statements) -> None:
        """Links each statement to its form for the tables of the previous revision, if it has one."""
        mine = vars(self)
        for name, statement in vars(previous).items():
            if isinstance(statement, Pair):
                for one, other in zip(mine[name], statement, strict=True):
                    one.link(other)
            elif isinstance(statement, Prepared):
                mine[name].link(statement)

    def get_window(self, shape: Shape, *, journal: bool) -> Pair:
        """Returns the statement that reads sessions with the items of a window of this form."""
        if (pair := self._windows.get((shape, journal))) is None:
            build = self._item_reading.get_with_journal if journal else self._item_reading.get
            pair = self._read(KEY_FIELDS, lambda batch, columns: build(batch, columns, shape))
            self._windows[shape, journal] = pair
        return pair

    def list(self, conditions: Conditions, after: Key | Place | None, *, recent: bool, states: bool) -> Prepared:
        """Selects one page of the live sessions that meet the conditions."""
        return self._made(
            lambda of: of._reading.list(conditions(of._table), after, recent=recent, states=states)  # noqa: SLF001
        )

    def clear(self, conditions: Conditions) -> Prepared:
        """Deletes one batch of the rows that meet the conditions. Skips rows that other transactions hold.

        Returns rows of four numbers, each to be summed: the rows deleted; the live ones among them; the rows locked
        for deletion; and whether any row met the conditions.
        """
        return self._made(lambda of: of._deleting.clear(conditions(of._table)))  # noqa: SLF001

    def stats(self, conditions: Conditions) -> Prepared:
        """Counts the live and the expired rows of each namespace, with the oldest expiry of the expired ones."""
        return self._made(lambda of: of._reading.stats(conditions(of._table)))  # noqa: SLF001

    def _made(self, build: Callable[[Statements], Statement]) -> Prepared:
        """Prepares a statement for one call, and links it to its form for the tables of the previous revision."""
        made, previous = self._prepare(lambda: build(self)), self._previous
        if previous is not None:
            made.link(previous._made(build))  # noqa: SLF001
        return made

    def _prepare(self, build: Callable[[], Statement], range_checked: Prepared | None = None) -> Prepared:
        return Prepared(build, self._backend.driver, range_checked)

    def _one(self, fields: Fields) -> FromClause:
        """Builds a batch of one row. Its column `now` is evaluated once, so the statement has one time."""

        def field(name: str, type_: TypeEngine[Any]) -> Element:
            if is_document(type_):
                return self._backend.json(bindparam(name, type_=Text()))
            return bindparam(name, type_=type_)

        columns = (field(name, type_).label(name) for name, type_ in fields.items())
        return select(*columns, self._terms.now.label("now")).subquery("batch")

    def _many(self, fields: Fields) -> FromClause:
        return self._backend.batch(fields, self._terms.now)

    def _pair(
        self,
        fields: Fields,
        build: Callable[[FromClause], Statement],
        build_many: Callable[[FromClause], Statement] | None = None,
    ) -> Pair:
        return Pair(
            self._prepare(lambda: build(self._one(fields))),
            self._prepare(lambda: (build_many or build)(self._many(fields))),
        )

    def _read(self, fields: Fields, build: Callable[[FromClause, Columns], Statement]) -> Pair:
        return self._fast_path(
            lambda columns: build(self._one(fields), columns),
            lambda columns: build(self._many(fields), columns),
        )

    def _written(
        self,
        fields: Fields,
        build: Callable[[FromClause, Columns], Update],
        wanted: _Wanted,
        completed: _Complete = lambda written, _batch, _columns: written,
    ) -> Pair:
        """Builds statements that write existing rows. They skip rows that other transactions hold.

        Args:
            fields: The fields of the batch.
            build: Builds the UPDATE from the batch.
            wanted: Builds the conditions on a row that is to be locked.
            completed: Builds the whole statement from the UPDATE and the batch.
        """

        def one(columns: Columns) -> Statement:
            row, same = self._table.alias("target"), Parameters(fields)
            lockable = self._backend.lockable(row, same_key(row, same), *wanted(row, same, columns))
            batch = self._one(fields)
            return completed(build(batch, columns).where(lockable), batch, columns)

        def many(columns: Columns) -> Statement:
            batch = self._many(fields)
            locked = self._backend.locked(batch, self._table, *wanted(self._table, batch, columns))
            return completed(build(locked, columns), batch, columns)

        return self._fast_path(one, many)

    def _fast_path(self, one: _Build, many: _Build) -> Pair:
        """Builds fast-path statements. When a row is out of range, the range-checked variant runs instead."""

        def with_fallback(build: _Build) -> Prepared:
            range_checked = self._prepare(lambda: build(self._terms.range_checked))
            return self._prepare(lambda: build(self._terms.plain), range_checked)

        return Pair(with_fallback(one), with_fallback(many))
