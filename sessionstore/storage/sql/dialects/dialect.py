"""What the databases say differently. `postgresql.py` and `sqlite.py` answer it, the same names in the same order."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from sqlalchemy import BindParameter, ColumnElement, FromClause, Select, Table, Text, bindparam, case
from sqlalchemy.sql.dml import Delete
from sqlalchemy.types import TypeEngine

from ..drivers.driver import Driver
from ..drivers.prepared import Statement
from ..faults import Fault

Fields: TypeAlias = dict[str, TypeEngine[Any]]
"""The columns of a batch: names and types, JSON documents as JSON."""


def batch_parameter() -> BindParameter[str]:
    """The parameter that carries a whole batch. Arrays of documents are slow to send: 1,300 against 3,000 a second."""
    return bindparam("batch", type_=Text())


class Backend(Protocol):
    """A database, as the statements need it."""

    name: str
    one_writer: bool
    """Whether writers exclude each other anyway, so that queueing them here is better than polling there.

    Otherwise rows are locked one by one, and statements may change several tables and rows one after the other.
    """
    interruptible: bool
    """Whether a call that is cancelled stops, or goes on in a thread that has to be waited for."""
    begin: str
    """Starts a transaction that is going to write."""
    driver: Driver
    """What it is talked to through."""

    def relations(self, schema: str | None) -> Statement:
        """The tables in a schema, from the catalogue: names, whether policies may hide rows from us, and rules.

        The rules are those that put something else in the place of what is written.
        """
        ...

    def now(self, given: BindParameter[Any]) -> ColumnElement[Any]:
        """The time given, else the database's when this is evaluated: after each wait for a lock so far."""
        ...

    def once(self, now: ColumnElement[Any]) -> ColumnElement[Any]:
        """now(), evaluated once in a statement and after it has locked its tables."""
        ...

    def started(self, given: BindParameter[Any]) -> ColumnElement[Any]:
        """The time given, else the database's when the statement arrived, which may be before a wait for a lock."""
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

    def batch(self, fields: Fields, now: ColumnElement[Any]) -> FromClause:
        """Rows of these fields out of the parameter ``batch``, a JSON array of objects, each with a time ``now``."""
        ...

    def locked(
        self, batch: FromClause, table: Table, *conditions: ColumnElement[bool], deleting: bool = False
    ) -> FromClause:
        """The batch, cut down to rows that exist, for which these hold, and that are locked now.

        Rows that others hold are passed over: nothing waits for them. In key order, so that no two batches deadlock.
        """
        ...

    def lockable(self, rows: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        """Whether the one row for which these hold could be locked, which it is then."""
        ...

    def hurried(self) -> ColumnElement[bool]:
        """True, and from its evaluation on the statement waits for each lock for a tenth of a second at most."""
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
