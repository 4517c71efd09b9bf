"""How each driver is asked, in its own words.

SQLAlchemy makes the connections, keeps them in its pool and compiles the SQL, but does not run it: its cursors need a
greenlet around each call, and reading one session took 1.1 to 1.2 times as long that way as through psycopg's own pool,
where it takes 0.9 times as long without.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Dialect

Row: TypeAlias = Sequence[Any]
Params: TypeAlias = dict[str, Any] | tuple[Any, ...]
Errors: TypeAlias = tuple[type[BaseException], ...]


class Driver(Protocol):
    """A driver. Connections are the driver's own.

    Attributes:
        errors: What it raises.
    """

    errors: Errors

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        """Runs a statement that returns rows, in one round trip."""
        ...

    async def command(self, connection: Any, sql: str) -> None:
        """Runs a statement that returns none."""
        ...


class Psycopg:
    """psycopg 3."""

    def __init__(self, dialect: Dialect) -> None:
        self.errors: Errors = (dialect.loaded_dbapi.Error,)

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        # Without a look at cursor.description, which costs psycopg as much as decoding the row.
        cursor = connection.cursor()
        await cursor.execute(sql, params)
        rows: Sequence[Row] = await cursor.fetchall()
        return rows

    async def command(self, connection: Any, sql: str) -> None:
        await connection.execute(sql)


class Asyncpg:
    """asyncpg."""

    def __init__(self, dialect: Dialect) -> None:
        asyncpg = import_module("asyncpg")
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


class Aiosqlite:
    """aiosqlite, which runs each call in a thread of its own: one call is one trip there, a cursor would be four."""

    def __init__(self, dialect: Dialect) -> None:
        self.errors: Errors = (dialect.loaded_dbapi.Error,)

    async def fetch(self, connection: Any, sql: str, params: Params) -> Sequence[Row]:
        rows: Sequence[Row] = await connection.execute_fetchall(sql, params)
        return rows

    async def command(self, connection: Any, sql: str) -> None:
        await connection.execute_fetchall(sql, ())
