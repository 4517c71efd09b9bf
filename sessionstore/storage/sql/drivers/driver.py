"""One interface to the drivers psycopg, asyncpg and aiosqlite.

SQLAlchemy makes the connections, pools them and compiles the SQL. The driver itself runs the statements, because
SQLAlchemy's cursors need a greenlet around each call. Compared with psycopg's own pool, reading one session took 1.1 to
1.2 times as long through these cursors, and takes 0.9 times as long without them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import Dialect

from ..faults import Errors, code_of
from ..urls.psycopg import default_adapters
from .asyncpg_upgrade import retrieve_errors
from .refused import note_code

Row: TypeAlias = Sequence[Any]
Params: TypeAlias = dict[str, Any] | tuple[Any, ...]

# psycopg.pq.TransactionStatus.IDLE. psycopg may not be installed, so it is not imported here.
_IDLE: Final = 0
_END_SECONDS: Final = 5.0
# datetime_field_overflow, interval_field_overflow
_OVERFLOWS: Final = {"22008", "22015"}
# https://www.sqlite.org/rescode.html#constraint_datatype. Python 3.11 has no name for this code.
_CONSTRAINT_DATATYPE: Final = 3091


class Driver(Protocol):
    """A database driver. Every ``connection`` is the driver's own object.

    Attributes:
        dialect: The SQLAlchemy dialect to compile statements with.
        errors: The classes of the driver's errors.
        unsent: The classes of errors that, without an error code, were raised before anything was sent: for a
            parameter or a call that the driver does not accept.
    """

    dialect: Dialect
    errors: Errors
    unsent: Errors

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        """Runs a statement that returns rows, in one round trip."""
        ...

    async def command(self, connection: Any, sql: str) -> None:
        """Runs a statement that returns no rows."""
        ...

    def alive(self, connection: Any) -> bool:
        """Whether the driver says that the connection is open. Sends nothing."""
        ...

    def at_rest(self, connection: Any) -> bool:
        """Whether the connection is open, runs no statement and has no open transaction. Sends nothing."""
        ...

    def only_reads(self, connection: Any) -> bool:
        """Whether the server reported, with its last answer, that it is a standby or read-only.

        Sends nothing. PostgreSQL 14 and later report it; a pooler may not pass it on.
        """
        ...

    async def note_code(self, error: BaseException) -> None:
        """Adds the code of the server's refusal to an error of connecting, if the error has no code."""
        ...

    async def end(self, connection: Any) -> bool:
        """Closes a connection on which a statement was cancelled, after the server confirmed the end of the statement.

        Returns:
            Whether the server confirmed it within 5 seconds.
        """
        ...

    def drop(self, connection: Any) -> None:
        """Closes a connection at once, without waiting for the server."""
        ...

    def out_of_range(self, error: Exception) -> bool:
        """Whether a statement failed because of an out-of-range timestamp or duration in a row."""
        ...


class Psycopg:
    """psycopg 3, through raw cursors, which take the server's numbered parameters.

    With named parameters, psycopg parses a long statement at each call, because its cache takes no statement of more
    than 4,096 characters. Creating a session took 1.6 times as long.
    """

    def __init__(self, dialect: Dialect) -> None:
        # The engine's own dialect compiles named parameters.
        self.dialect = _own_dialect(dialect, "numeric_dollar")
        self.errors: Errors = (dialect.loaded_dbapi.Error,)
        dbapi = dialect.loaded_dbapi
        self.unsent: Errors = (dbapi.InterfaceError, dbapi.DataError, dbapi.ProgrammingError, dbapi.NotSupportedError)
        self._data_error = dbapi.DataError
        self._cursor = _raw_cursor()

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        # cursor.description is not read, because that costs psycopg as much as decoding the row.
        cursor = self._cursor(connection)
        # The rows come in binary, because psycopg takes twice as long to read a timestamp from text.
        await cursor.execute(sql, params, binary=True)
        rows: Sequence[Row] = await cursor.fetchall()
        return rows

    async def command(self, connection: Any, sql: str) -> None:
        # Never prepared, whatever the connection's prepare_threshold is: the server cannot prepare several commands.
        await self._cursor(connection).execute(sql, prepare=False)

    def alive(self, connection: Any) -> bool:
        return not connection.closed

    def at_rest(self, connection: Any) -> bool:
        return not connection.closed and connection.info.transaction_status == _IDLE

    def only_reads(self, connection: Any) -> bool:
        if connection.closed:
            return False
        reported = connection.pgconn.parameter_status
        return b"on" in (reported(b"in_hot_standby"), reported(b"default_transaction_read_only"))

    async def note_code(self, error: BaseException) -> None:
        await note_code(error)

    async def end(self, connection: Any) -> bool:
        # When the statement was cancelled, psycopg waited for the server, and closed the connection if it got no
        # answer.
        answered = not connection.closed
        await connection.close()
        return answered

    def drop(self, connection: Any) -> None:
        connection.pgconn.finish()

    def out_of_range(self, error: Exception) -> bool:
        # The error has no code if psycopg itself could not represent the value.
        unread = isinstance(error, self._data_error) and code_of(error) is None
        return unread or _overflown(error)


class Asyncpg:
    """asyncpg."""

    def __init__(self, dialect: Dialect) -> None:
        asyncpg = import_module("asyncpg")
        retrieve_errors()
        self.dialect = _own_dialect(dialect, "numeric_dollar")
        self._record = asyncpg.Record
        # SQLAlchemy raises its own error classes for failures while it connects.
        self.errors: Errors = (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            dialect.loaded_dbapi.Error,
        )
        self.unsent: Errors = (asyncpg.InterfaceError, dialect.loaded_dbapi.InterfaceError)

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

    async def note_code(self, error: BaseException) -> None:
        """Does nothing: asyncpg's error has the code already."""

    async def end(self, connection: Any) -> bool:
        try:
            await connection.close(timeout=_END_SECONDS)
        except OSError:  # a TimeoutError is an OSError
            connection.terminate()
            return False
        return True

    def drop(self, connection: Any) -> None:
        connection.terminate()

    def out_of_range(self, error: Exception) -> bool:
        return _overflown(error)


class Aiosqlite:
    """aiosqlite, which runs each call in a thread. fetch() makes one such call; a cursor would need four."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = _own_dialect(dialect, "qmark")
        self.errors: Errors = (dialect.loaded_dbapi.Error,)
        # OverflowError: an integer of more than 64 bits among the parameters.
        self.unsent: Errors = (dialect.loaded_dbapi.Error, OverflowError)

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        # aiosqlite has no public method that runs a function in the connection's thread.
        rows: Sequence[Row] = await connection._execute(_fetch_all, connection._conn, sql, params)  # noqa: SLF001
        return rows

    async def command(self, connection: Any, sql: str) -> None:
        await self.fetch(connection, sql, ())

    def alive(self, connection: Any) -> bool:
        return _in_transaction(connection) is not None

    def at_rest(self, connection: Any) -> bool:
        return _in_transaction(connection) is False

    def only_reads(self, connection: Any) -> bool:
        return False  # SQLite refuses each write to a read-only file by itself

    async def note_code(self, error: BaseException) -> None:
        """Does nothing: SQLite's error has the code already."""

    async def end(self, connection: Any) -> bool:
        await connection.close()
        return True

    def drop(self, connection: Any) -> None:
        connection.stop()

    def out_of_range(self, error: Exception) -> bool:
        # A sum overflowed into a float, and the STRICT table takes integers only.
        return getattr(error, "sqlite_errorcode", None) == _CONSTRAINT_DATATYPE


def _own_dialect(dialect: Dialect, paramstyle: str) -> Dialect:
    """Makes a dialect to compile statements with, without the engine's options, such as label_length."""
    own: Any = type(dialect)
    made: Dialect = own(paramstyle=paramstyle)
    return made


def _raw_cursor() -> Callable[[Any], Any]:
    """Returns a class of raw cursors with psycopg's default adapters and row factory.

    A service may have changed both, for one connection or globally.
    """
    adapters = default_adapters()
    row_factory = import_module("psycopg.rows").tuple_row
    base: Any = import_module("psycopg").AsyncRawCursor

    class Cursor(base):  # type: ignore[misc]
        def __init__(self, connection: Any) -> None:
            super().__init__(connection, row_factory=row_factory)
            self._adapters = adapters

    return Cursor


# SQLite also stores text that is not valid UTF-8. By default, Python would fail on every statement that reads one.
_ANY_TEXT: Final = partial(str, encoding="utf-8", errors="backslashreplace")


def _fetch_all(raw: Any, sql: str, params: Params) -> Sequence[Row]:
    """Runs a statement in its connection's thread, without a row factory and with the text factory `_ANY_TEXT`."""
    before = raw.text_factory
    raw.text_factory = _ANY_TEXT
    try:
        rows: Sequence[Row] = sqlite3.Cursor(raw).execute(sql, params).fetchall()
        return rows
    finally:
        raw.text_factory = before


def _in_transaction(connection: Any) -> bool | None:
    """Whether a connection of aiosqlite is in a transaction; None: the connection is closed."""
    try:
        return bool(connection.in_transaction)
    except (ValueError, sqlite3.ProgrammingError):
        return None


def _overflown(error: Exception) -> bool:
    return isinstance(error, OverflowError) or code_of(error) in _OVERFLOWS
