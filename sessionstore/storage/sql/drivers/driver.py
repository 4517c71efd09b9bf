"""How each driver is asked, in its own words.

SQLAlchemy makes the connections, keeps them in its pool and compiles the SQL, but does not run it: its cursors need a
greenlet around each call, and reading one session took 1.1 to 1.2 times as long that way as through psycopg's own pool,
where it takes 0.9 times as long without.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import Dialect

from ..faults import Errors, code_of
from .fork_gate import GATE

Row: TypeAlias = Sequence[Any]
Params: TypeAlias = dict[str, Any] | tuple[Any, ...]

# psycopg.pq.TransactionStatus, without an import of psycopg, which others than its users need not have
_IDLE: Final = 0
_END_SECONDS: Final = 5.0
# datetime_field_overflow, interval_field_overflow
_OVERFLOWS: Final = {"22008", "22015"}
# https://www.sqlite.org/rescode.html#constraint_datatype, which Python 3.11 has no name for
_CONSTRAINT_DATATYPE: Final = 3091


class Driver(Protocol):
    """A driver. Connections are the driver's own.

    Attributes:
        dialect: What statements are compiled for.
        errors: What it raises.
        unsent: What it raises, without a code, before it sends anything: for a parameter or a call that it does not
            take.
    """

    dialect: Dialect
    errors: Errors
    unsent: Errors

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        """Runs a statement that returns rows, in one round trip."""
        ...

    async def command(self, connection: Any, sql: str) -> None:
        """Runs a statement that returns none."""
        ...

    def alive(self, connection: Any) -> bool:
        """Whether the connection says that it is there."""
        ...

    def at_rest(self, connection: Any) -> bool:
        """Whether it is alive, nothing is under way on it and no transaction is open."""
        ...

    def only_reads(self, connection: Any) -> bool:
        """Whether the server reported, with its last answer, that it is a standby or was told to only read.

        Asks nothing. PostgreSQL reports it from version 14 on; a pooler need not.
        """
        ...

    async def end(self, connection: Any) -> bool:
        """Closes a connection on which a statement was cancelled, once the server said that the statement ended.

        Returns:
            Whether the server said so, within some seconds.
        """
        ...

    def drop(self, connection: Any) -> None:
        """Closes a connection without waiting for anything."""
        ...

    def out_of_range(self, error: Exception) -> bool:
        """Whether a statement failed for a time or a duration in a row that is beyond what can be reckoned with."""
        ...


class Psycopg:
    """psycopg 3, given statements as the server takes them.

    Parameters by name it would have to look for in each statement: it remembers where they are, but in no text of more
    than 4,096 characters, and creating a session took 1.6 times as long.
    """

    def __init__(self, dialect: Dialect) -> None:
        # Of our own, because an engine's dialect is made for its connections, whose cursors take names.
        self.dialect = _own_dialect(dialect, "numeric_dollar")
        self.errors: Errors = (dialect.loaded_dbapi.Error,)
        dbapi = dialect.loaded_dbapi
        self.unsent: Errors = (dbapi.InterfaceError, dbapi.DataError, dbapi.ProgrammingError, dbapi.NotSupportedError)
        self._data_error = dialect.loaded_dbapi.DataError
        self._cursor = _raw_cursor()

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        # Without a look at cursor.description, which costs psycopg as much as decoding the row.
        cursor = self._cursor(connection)
        # Binary, because a time takes it twice as long to read as text.
        await cursor.execute(sql, params, binary=True)
        rows: Sequence[Row] = await cursor.fetchall()
        return rows

    async def command(self, connection: Any, sql: str) -> None:
        await self._cursor(connection).execute(sql)

    def alive(self, connection: Any) -> bool:
        return not connection.closed

    def at_rest(self, connection: Any) -> bool:
        return not connection.closed and connection.info.transaction_status == _IDLE

    def only_reads(self, connection: Any) -> bool:
        if connection.closed:
            return False
        reported = connection.pgconn.parameter_status
        return b"on" in (reported(b"in_hot_standby"), reported(b"default_transaction_read_only"))

    async def end(self, connection: Any) -> bool:
        # psycopg waited for the server when the statement was cancelled, and closed a connection that said nothing.
        answered = not connection.closed
        await connection.close()
        return answered

    def drop(self, connection: Any) -> None:
        connection.pgconn.finish()

    def out_of_range(self, error: Exception) -> bool:
        # Without a code where it was psycopg that found no value for it.
        unread = isinstance(error, self._data_error) and code_of(error) is None
        return unread or _overflown(error)


class Asyncpg:
    """asyncpg."""

    def __init__(self, dialect: Dialect) -> None:
        asyncpg = import_module("asyncpg")
        self.dialect = _own_dialect(dialect, "numeric_dollar")
        self._record = asyncpg.Record
        # SQLAlchemy has error classes of its own for what fails while it connects.
        self.errors: Errors = (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            dialect.loaded_dbapi.Error,
        )
        self.unsent: Errors = (asyncpg.InterfaceError,)

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        rows: Sequence[Row] = await connection.fetch(sql, *params, record_class=self._record)
        return rows

    async def command(self, connection: Any, sql: str) -> None:
        await connection.execute(sql)

    def alive(self, connection: Any) -> bool:
        return not connection.is_closed()

    def at_rest(self, connection: Any) -> bool:
        return not connection.is_closed() and not connection.is_in_transaction()

    def only_reads(self, connection: Any) -> bool:
        if connection.is_closed():
            return False
        reported = connection.get_settings()
        return "on" in (
            getattr(reported, "in_hot_standby", None),
            getattr(reported, "default_transaction_read_only", None),
        )

    async def end(self, connection: Any) -> bool:
        try:
            await connection.close(timeout=_END_SECONDS)
        except OSError:  # also TimeoutError
            connection.terminate()
            return False
        return True

    def drop(self, connection: Any) -> None:
        connection.terminate()

    def out_of_range(self, error: Exception) -> bool:
        return _overflown(error)


class Aiosqlite:
    """aiosqlite, which runs each call in a thread of its own: one call is one trip there, a cursor would be four."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = _own_dialect(dialect, "qmark")
        self.errors: Errors = (dialect.loaded_dbapi.Error,)
        # OverflowError: an integer of more than 64 bits among the parameters.
        self.unsent: Errors = (dialect.loaded_dbapi.Error, OverflowError)

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        # There is no public name for a function of our own in the connection's thread.
        rows: Sequence[Row] = await connection._execute(_fetch_all, connection._conn, sql, params)  # noqa: SLF001
        return rows

    async def command(self, connection: Any, sql: str) -> None:
        await self.fetch(connection, sql, ())

    def alive(self, connection: Any) -> bool:
        return _in_transaction(connection) is not None

    def at_rest(self, connection: Any) -> bool:
        return _in_transaction(connection) is False

    def only_reads(self, connection: Any) -> bool:
        return False  # a file that only reads is told by each write to it

    async def end(self, connection: Any) -> bool:
        await connection.close()
        return True

    def drop(self, connection: Any) -> None:
        connection.stop()

    def out_of_range(self, error: Exception) -> bool:
        # A sum that is no integer any more, where the table takes nothing else.
        return getattr(error, "sqlite_errorcode", None) == _CONSTRAINT_DATATYPE


def _own_dialect(dialect: Dialect, paramstyle: str) -> Dialect:
    """A dialect to compile our statements with, whatever the engine's was told (paramstyle, label_length)."""
    own: Any = type(dialect)
    made: Dialect = own(paramstyle=paramstyle)
    return made


def _raw_cursor() -> Callable[[Any], Any]:
    """Makes cursors as psycopg has them by default, whatever a service set on a connection or for all of them."""
    psycopg, postgres = import_module("psycopg"), import_module("psycopg.postgres")
    adapters = import_module("psycopg.adapt").AdaptersMap(types=postgres.types)
    postgres.register_default_adapters(adapters)
    row_factory = import_module("psycopg.rows").tuple_row
    base: Any = psycopg.AsyncRawCursor

    class Cursor(base):  # type: ignore[misc]
        def __init__(self, connection: Any) -> None:
            super().__init__(connection, row_factory=row_factory)
            self._adapters = adapters

    return Cursor


# SQLite keeps what is no UTF-8 too, and Python would fail on the whole page of rows that one such text is in.
_ANY_TEXT: Final = partial(str, encoding="utf-8", errors="backslashreplace")


def _fetch_all(raw: Any, sql: str, params: Params) -> Sequence[Row]:
    """Runs a statement in the thread of its connection, with no row factory and our own text factory."""
    with GATE:
        before = raw.text_factory
        raw.text_factory = _ANY_TEXT
        try:
            return _run(raw, sql, params)
        finally:
            raw.text_factory = before


def _run(raw: Any, sql: str, params: Params) -> Sequence[Row]:
    # A function of its own, so that the cursor is gone before the gate is left.
    rows: Sequence[Row] = sqlite3.Cursor(raw).execute(sql, params).fetchall()
    return rows


def _in_transaction(connection: Any) -> bool | None:
    """Whether a connection of aiosqlite is in a transaction; None: it is closed."""
    try:
        return bool(connection.in_transaction)
    except (ValueError, sqlite3.ProgrammingError):
        return None


def _overflown(error: Exception) -> bool:
    return isinstance(error, OverflowError) or code_of(error) in _OVERFLOWS
