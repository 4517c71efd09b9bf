"""What the databases say differently. `postgresql.py` and `sqlite.py` answer it, the same names in the same order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from sqlalchemy import BindParameter, ColumnElement, FromClause, Select, Table, Text, bindparam, case
from sqlalchemy.sql.dml import Delete, ReturningInsert
from sqlalchemy.types import TypeEngine

from .drivers import Driver
from .faults import Fault
from .prepared import Statement

Fields: TypeAlias = dict[str, TypeEngine[Any]]
"""The columns of a batch: names and types, JSON documents as JSON."""

Inserting: TypeAlias = Callable[[ColumnElement[bool]], ReturningInsert[Any]]
"""Makes the INSERT of those rows of a batch for which this holds."""


def batch_parameter() -> BindParameter[str]:
    """The parameter that carries a whole batch. Arrays of documents are slow to send: 1,300 against 3,000 a second."""
    return bindparam("batch", type_=Text())


class Backend(Protocol):
    """A database, as the statements need it."""

    name: str
    one_writer: bool
    """Whether writers exclude each other anyway, so that queueing them here is better than polling there."""
    interruptible: bool
    """Whether a call that is cancelled stops, or goes on in a thread that has to be waited for."""
    begin: str
    """Starts a transaction that is going to write."""
    driver: Driver
    """What it is talked to through."""

    def relations(self, schema: str | None) -> Select[Any]:
        """The names of the tables in a schema, from the catalogue."""
        ...

    def now(self, given: BindParameter[Any]) -> ColumnElement[Any]:
        """The time given, else the database's, one and the same in the whole statement."""
        ...

    def interval(self, microseconds: ColumnElement[Any]) -> ColumnElement[Any]:
        """A duration from its microseconds."""
        ...

    def span(self, since: ColumnElement[Any], until: ColumnElement[Any]) -> ColumnElement[Any]:
        """The exact duration between two instants."""
        ...

    def bounded(self, ttl: ColumnElement[Any]) -> ColumnElement[Any]:
        """A column's duration as one that drivers read and that can be added to any time of now."""
        ...

    def readable(self, instant: ColumnElement[Any]) -> ColumnElement[Any]:
        """A column's instant as one that drivers read."""
        ...

    def json(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """A document from its text."""
        ...

    def text(self, document: ColumnElement[Any]) -> ColumnElement[Any]:
        """The text of a document."""
        ...

    def batch(self, fields: Fields) -> FromClause:
        """Rows of these fields out of the parameter ``batch``, a JSON array of objects."""
        ...

    def locked(self, batch: FromClause, table: Table, *, skip_locked: bool = False) -> FromClause:
        """The batch, cut down to rows that exist and are locked now, in key order: no two batches can deadlock."""
        ...

    def among(self, table: Table, batch: FromClause) -> ColumnElement[bool]:
        """Whether the row is one of the batch's, in a statement that deletes or that takes nothing else from it."""
        ...

    def row_id(self, table: Table) -> ColumnElement[Any]:
        """The physical address of a row."""
        ...

    def one_of(self, row_id: ColumnElement[Any], rows: Select[Any]) -> ColumnElement[bool]:
        """Whether the address is one of those selected."""
        ...

    def create(self, insert: Inserting, found: Select[Any], batch: FromClause) -> Statement:
        """The statement of create_many(): inserts what is missing, and may at once answer with what was found."""
        ...

    def cleared(self, deleted: Delete, live: ColumnElement[bool]) -> Statement:
        """A deletion that answers with numbers, to be added up over its rows: deleted ones, and live ones of them."""
        ...

    def purged(self, deleted: Delete, table: Table, found: ColumnElement[bool]) -> Statement:
        """A deletion of the first rows of those found, in the order in which they expire, as rows of numbers.

        Rows deleted, to be added up; when they expired, of which the last counts; and, to be added up, rows that
        expired before that and are left. It need not be on the disk when it is answered.
        """
        ...

    def fault(self, error: BaseException, *, connected: bool, alive: bool) -> Fault | None:
        """What kind of fault a driver's error is; None where it says nothing that matters here.

        Args:
            error: What was raised.
            connected: Whether there was a connection, so that something may have been run.
            alive: Whether that connection says that it is still there.
        """
        ...


def between(column: ColumnElement[Any], first: ColumnElement[Any], last: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column as it is, or the bound that it exceeds."""
    # Of PostgreSQL's least() and greatest(), null is none of the values.
    return case((column < first, first), (column > last, last), else_=column)
