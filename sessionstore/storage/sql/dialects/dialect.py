"""The interface to SQL that differs between databases.

`postgresql.py` and `sqlite.py` implement it, with the same names in the same order.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from sqlalchemy import BindParameter, ColumnElement, FromClause, Select, Table, Text, bindparam, case
from sqlalchemy.sql.dml import Delete
from sqlalchemy.types import TypeEngine

from ..drivers.driver import Driver
from ..drivers.prepared import Statement
from ..faults import Fault

Fields: TypeAlias = dict[str, TypeEngine[Any]]
"""The names and types of a batch's columns. Documents have the JSON type."""


def batch_parameter() -> BindParameter[str]:
    """Returns the parameter that carries a whole batch as JSON text."""
    # Not an array of documents, which is slower to send: 1,300 against 3,000 documents a second.
    return bindparam("batch", type_=Text())


class Backend(Protocol):
    """One database's own SQL.

    Attributes:
        name: The name of the database, as SQLAlchemy has it.
        one_writer: Whether the database runs one writer at a time. Writers then queue in this process, which is
            faster than polling for the lock. Otherwise the database has row locks, and one statement may change
            several tables.
        interruptible: Whether cancelling a call stops the statement. Otherwise the statement goes on in a thread,
            and the caller waits for the thread.
        begin: The statement that starts a writing transaction.
        driver: The driver.
    """

    name: str
    one_writer: bool
    interruptible: bool
    begin: str
    driver: Driver

    def begin_marked(self, mark: int) -> str:
        """Returns `begin` with a mark, by which `end_marked` finds the transaction while it is open."""
        ...

    def end_marked(self, mark: int) -> str | None:
        """Returns a query that ends the connection of a marked open transaction; None: there is no such query."""
        ...

    def relations(self, schema: str | None) -> Statement:
        """Selects the tables of a schema from the catalogue.

        Returns rows of three values: the name; whether row security policies may hide rows from this role; and whether
        the table has rewrite rules.
        """
        ...

    def lacking(self, schema: str | None) -> Statement | None:
        """Selects the privileges that this role lacks for the parameter ``use``; None: the database has no roles.

        Returns rows of two values: the name of the role, and the index of the privilege in ``NEEDS[use]``.
        """
        ...

    def now(self, given: BindParameter[Any]) -> ColumnElement[Any]:
        """Returns the given time, else the database's clock.

        The clock is read at each evaluation, and so after any lock wait that came before.
        """
        ...

    def now_once(self, now: ColumnElement[Any]) -> ColumnElement[Any]:
        """Returns now(), evaluated once per statement, after the statement has locked its tables."""
        ...

    def started(self, given: BindParameter[Any]) -> ColumnElement[Any]:
        """Returns the given time, else the time at which the statement arrived, which may be before a lock wait."""
        ...

    def interval(self, microseconds: ColumnElement[Any]) -> ColumnElement[Any]:
        """Converts microseconds to a duration."""
        ...

    def span(self, since: ColumnElement[Any], until: ColumnElement[Any]) -> ColumnElement[Any]:
        """Returns the exact duration between two timestamps."""
        ...

    def bounded(self, ttl: ColumnElement[Any]) -> ColumnElement[Any]:
        """Limits a duration to those that drivers can read and that can be added to the current time."""
        ...

    def readable(self, instant: ColumnElement[Any]) -> ColumnElement[Any]:
        """Limits a timestamp to those that drivers can read."""
        ...

    def json(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """Converts JSON text to a document."""
        ...

    def text(self, document: ColumnElement[Any]) -> ColumnElement[Any]:
        """Converts a document to JSON text."""
        ...

    def verbatim(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """Converts JSON text to an item, which the database keeps character by character."""
        ...

    def batch(self, fields: Fields, now: ColumnElement[Any]) -> FromClause:
        """Expands the parameter ``batch``, a JSON array of objects, into rows of these fields and a time ``now``."""
        ...

    def locked(
        self,
        batch: FromClause,
        table: Table,
        *conditions: ColumnElement[bool],
        deleting: bool = False,
        name: str = "locked",
    ) -> FromClause:
        """Locks the existing rows of the batch that meet the conditions, and returns that part of the batch.

        Skips rows that other transactions hold. Locks in key order, so that no two batches can deadlock.
        """
        ...

    def lockable(self, rows: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        """Locks the one row that meets the conditions; null if there is none, or if another transaction holds it."""
        ...

    def short_lock_timeout(self) -> ColumnElement[bool]:
        """Sets a lock timeout of 100 ms for the rest of the statement. Is always true."""
        ...

    def among(self, table: Table, batch: FromClause) -> ColumnElement[bool]:
        """Tells whether a row's key is in the batch. For statements that need no other column of the batch."""
        ...

    def micros_of(self, instant: ColumnElement[Any]) -> ColumnElement[Any]:
        """Converts a timestamp to microseconds since 1970. Limits it to those that drivers can read."""
        ...

    def joined(
        self,
        position: ColumnElement[Any],
        micros: ColumnElement[Any],
        version: ColumnElement[Any],
        text: ColumnElement[Any],
    ) -> Any:
        """Joins the items of a group into one text, with U+001E between two items.

        An item is ``position:micros:text``, or ``position:micros/version:text`` if ``version`` is not empty.
        """
        ...

    def at_most(self, limit: BindParameter[int]) -> Any:
        """Returns a LIMIT for a subquery with which the planner reads an index in order, even with old statistics."""
        ...

    def one_of_ids(self, item_id: ColumnElement[Any], ids: BindParameter[str]) -> ColumnElement[bool]:
        """Tells whether an id is among those of a JSON array."""
        ...

    def row_id(self, table: Table) -> ColumnElement[Any]:
        """Returns the physical address of a row."""
        ...

    def one_of(self, row_id: ColumnElement[Any], rows: Select[Any]) -> ColumnElement[bool]:
        """Tells whether a physical address is among the selected ones."""
        ...

    def purged(self, deleted: Delete, table: Table, found: ColumnElement[bool]) -> Statement:
        """Completes a purge: makes the deletion return rows of numbers, and its commit asynchronous.

        Each row has three values: a number of deleted rows; their latest expiry; and the number of rows that expired
        before and were left. The caller sums the numbers, and takes the latest expiry of all rows.

        Args:
            deleted: Deletes the rows that expired first.
            table: The table of sessions.
            found: The condition of a row to purge.
        """
        ...

    def fault(self, error: BaseException, *, connected: bool, alive: bool) -> Fault | None:
        """Classifies an error of the driver; None: the error is no fault of the storage.

        Args:
            error: The error that was raised.
            connected: Whether there was a connection, so that a statement may have run.
            alive: Whether the driver says that the connection is still open.
        """
        ...


def between(column: ColumnElement[Any], first: ColumnElement[Any], last: ColumnElement[Any]) -> ColumnElement[Any]:
    """Limits a column to a range. Null stays null."""
    # Not least() and greatest(), which ignore nulls in PostgreSQL.
    return case((column < first, first), (column > last, last), else_=column)
