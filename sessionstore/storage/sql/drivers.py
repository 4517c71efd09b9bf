"""How each driver is asked, in its own words.

SQLAlchemy makes the connections, keeps them in its pool and compiles the SQL, but does not run it: its cursors need a
greenlet around each call, and reading one session took 1.1 to 1.2 times as long that way as through psycopg's own pool,
where it takes 0.9 times as long without.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import Dialect

from .faults import code_of

Row: TypeAlias = Sequence[Any]
Params: TypeAlias = dict[str, Any] | tuple[Any, ...]
Errors: TypeAlias = tuple[type[BaseException], ...]

# datetime_field_overflow, interval_field_overflow
_OVERFLOWS: Final = {"22008", "22015"}
# https://www.sqlite.org/rescode.html#constraint_datatype, which Python 3.11 has no name for
_CONSTRAINT_DATATYPE: Final = 3091


class Driver(Protocol):
    """A driver. Connections are the driver's own.

    Attributes:
        dialect: What statements are compiled for.
        errors: What it raises.
    """

    dialect: Dialect
    errors: Errors

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        """Runs a statement that returns rows, in one round trip."""
        ...

    async def command(self, connection: Any, sql: str) -> None:
        """Runs a statement that returns none."""
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
        own: Any = type(dialect)
        self.dialect: Dialect = own(paramstyle="numeric_dollar")
        self.errors: Errors = (dialect.loaded_dbapi.Error,)
        self._data_error = dialect.loaded_dbapi.DataError
        self._cursor = import_module("psycopg").AsyncRawCursor

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        # Without a look at cursor.description, which costs psycopg as much as decoding the row.
        cursor = self._cursor(connection)
        # Binary, because a time takes it twice as long to read as text.
        await cursor.execute(sql, params, binary=True)
        rows: Sequence[Row] = await cursor.fetchall()
        return rows

    async def command(self, connection: Any, sql: str) -> None:
        await connection.execute(sql)

    def out_of_range(self, error: Exception) -> bool:
        # Without a code where it was psycopg that found no value for it.
        unread = isinstance(error, self._data_error) and code_of(error) is None
        return unread or _overflown(error)


class Asyncpg:
    """asyncpg."""

    def __init__(self, dialect: Dialect) -> None:
        asyncpg = import_module("asyncpg")
        self.dialect = dialect
        # SQLAlchemy has error classes of its own for what fails while it connects.
        self.errors: Errors = (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            dialect.loaded_dbapi.Error,
        )

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        rows: Sequence[Row] = await connection.fetch(sql, *params)
        return rows

    async def command(self, connection: Any, sql: str) -> None:
        await connection.execute(sql)

    def out_of_range(self, error: Exception) -> bool:
        return _overflown(error)


class Aiosqlite:
    """aiosqlite, which runs each call in a thread of its own: one call is one trip there, a cursor would be four."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.errors: Errors = (dialect.loaded_dbapi.Error,)

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        rows: Sequence[Row] = await connection.execute_fetchall(sql, params)
        return rows

    async def command(self, connection: Any, sql: str) -> None:
        await connection.execute_fetchall(sql, ())

    def out_of_range(self, error: Exception) -> bool:
        # A sum that is no integer any more, where the table takes nothing else.
        return getattr(error, "sqlite_errorcode", None) == _CONSTRAINT_DATATYPE


def _overflown(error: Exception) -> bool:
    return isinstance(error, OverflowError) or code_of(error) in _OVERFLOWS
