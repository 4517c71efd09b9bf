"""Puts connections of each driver into AUTOCOMMIT, and puts the former mode back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Final, Protocol

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from ....errors import ConfigurationError
from ..drivers.sqlite_thread import supervise

_LEGACY: Final = getattr(sqlite3, "LEGACY_TRANSACTION_CONTROL", -1)  # since Python 3.12

_OPEN: Final = (1, 2, 3)
"""PQTRANS_ACTIVE, PQTRANS_INTRANS and PQTRANS_INERROR, as PQtransactionStatus() of libpq gives them."""


ASYNCPG_TYPES: Final[Mapping[str, int]] = {
    "bool": 16,
    "int4": 23,
    "int8": 20,
    "text": 25,
    "varchar": 1043,
    "timestamptz": 1184,
    "interval": 1186,
}
"""The types of parameters and columns of our statements, with their numbers in PostgreSQL."""

_SQLITE_TYPES: Final[Mapping[str, object]] = {"INTEGER": 1, "TEXT": "1"}
"""The types of our columns, with a value of each as Python reads it."""

_SQLITE_PARAMETERS: Final = (str, int, float, bytes, type(None))
"""The types of our parameters."""


class Mode(Protocol):
    """How the connections of a driver are put into AUTOCOMMIT, and back."""

    def ready(self, driver: Any) -> bool:
        """Whether a statement that runs now commits by itself. Reads attributes only."""
        ...

    def in_transaction(self, driver: Any) -> bool:
        """Whether a transaction is open."""
        ...

    async def end(self, pooled: PoolProxiedConnection, *, commit: bool) -> None:
        """Ends the open transaction."""
        ...

    async def enter(self, driver: Any) -> object:
        """Sets AUTOCOMMIT, and returns the former setting. None: there is nothing to put back."""
        ...

    async def leave(self, driver: Any, before: object) -> None:
        """Puts the former setting back."""
        ...

    async def check(self, driver: Any) -> None:
        """Refuses settings of a connection that change how our statements work, and that statements cannot avoid.

        Raises:
            ConfigurationError: The connection has such a setting.
        """
        ...

    def sever(self, driver: Any) -> None:
        """Closes a connection of a loop that was closed, without the loop and without waiting."""
        ...


class PsycopgMode:
    """psycopg begins a transaction by itself, unless `autocommit` is set."""

    def ready(self, driver: Any) -> bool:
        return bool(driver.autocommit) and not self.in_transaction(driver)

    def in_transaction(self, driver: Any) -> bool:
        # A broken connection has another status. Its next statement raises the error.
        return driver.pgconn.transaction_status in _OPEN

    async def end(self, pooled: PoolProxiedConnection, *, commit: bool) -> None:
        driver: Any = pooled.driver_connection
        await (driver.commit() if commit else driver.rollback())

    async def enter(self, driver: Any) -> object:
        before = driver.autocommit
        await driver.set_autocommit(True)
        return None if before else before

    async def leave(self, driver: Any, before: object) -> None:
        await driver.set_autocommit(before)

    async def check(self, driver: Any) -> None:
        # Only the encodings are checked, because our cursors have adapters and row factories of their own.
        told = driver.info.parameter_status
        _check_encodings(told("server_encoding"), told("client_encoding"))

    def sever(self, driver: Any) -> None:
        driver.pgconn.finish()


class AsyncpgMode:
    """asyncpg begins no transaction by itself, but SQLAlchemy does on its connections."""

    def ready(self, driver: Any) -> bool:
        return not self.in_transaction(driver)

    def in_transaction(self, driver: Any) -> bool:
        return bool(driver.is_in_transaction())

    async def end(self, pooled: PoolProxiedConnection, *, commit: bool) -> None:
        adapted: Any = pooled.dbapi_connection
        # Through SQLAlchemy, because it keeps its own record of the transaction.
        await greenlet_spawn(adapted.commit if commit else adapted.rollback)
        driver: Any = pooled.driver_connection
        if self.in_transaction(driver):  # not begun by SQLAlchemy
            await driver.execute("COMMIT" if commit else "ROLLBACK")

    async def enter(self, driver: Any) -> object:
        return None

    async def leave(self, driver: Any, before: object) -> None:
        """Does nothing, because enter() changed nothing."""

    async def check(self, driver: Any) -> None:
        settings = driver.get_settings()
        _check_encodings(getattr(settings, "server_encoding", None), getattr(settings, "client_encoding", None))
        # There is no public name. A codec belongs to the connection, so single statements cannot avoid it.
        codec: Callable[..., object] = driver._protocol.get_settings().get_data_codec  # noqa: SLF001
        for name, number in ASYNCPG_TYPES.items():
            if codec(number) is not codec(number, ignore_custom_codec=True):
                raise ConfigurationError(
                    f"the connections of this engine have a codec of their own for {name} (set_type_codec), with which "
                    "sessions cannot be read; give sessionstore an engine without this codec"
                )

    def sever(self, driver: Any) -> None:
        if not driver._loop.is_closed():  # noqa: SLF001
            driver.terminate()
            return
        # terminate() and the transport need the loop, which is closed. So the socket is closed directly.
        driver._aborted = True  # noqa: SLF001
        transport = driver._transport  # noqa: SLF001
        while transport is not None:
            if (found := getattr(transport, "_sock", None)) is not None:
                transport._sock = None  # noqa: SLF001
                found.close()
            ssl = getattr(transport, "_ssl_protocol", None)
            if ssl is not None:
                transport._closed = True  # noqa: SLF001
            transport = getattr(ssl, "_transport", None)


class SqliteMode:
    """Python begins a transaction before a statement that writes, unless `isolation_level` is None."""

    def ready(self, driver: Any) -> bool:
        raw = driver._conn  # noqa: SLF001  # aiosqlite has no name for `autocommit`
        if raw.in_transaction:
            return False
        autocommit = getattr(raw, "autocommit", _LEGACY)
        return raw.isolation_level is None if autocommit == _LEGACY else bool(autocommit)

    def in_transaction(self, driver: Any) -> bool:
        # With `autocommit=False`, Python keeps a transaction open at all times, mostly an empty one.
        return bool(driver.in_transaction) and getattr(driver._conn, "autocommit", _LEGACY) == _LEGACY  # noqa: SLF001

    async def end(self, pooled: PoolProxiedConnection, *, commit: bool) -> None:
        driver: Any = pooled.driver_connection
        await (driver.commit() if commit else driver.rollback())

    async def enter(self, driver: Any) -> object:
        return await driver._execute(_set_sqlite, driver._conn)  # noqa: SLF001  # in the connection's thread

    async def leave(self, driver: Any, before: object) -> None:
        await driver._execute(_put_back_sqlite, driver._conn, before)  # noqa: SLF001

    async def check(self, driver: Any) -> None:
        supervise(driver)
        for kind in _SQLITE_PARAMETERS:
            if (kind, sqlite3.PrepareProtocol) in sqlite3.adapters:
                raise ConfigurationError(
                    f"sqlite3.register_adapter() was given an adapter for {kind.__name__}, which changes what is "
                    "written on every connection of this process; remove the adapter, and convert values yourself"
                )
        for name, plain in _SQLITE_TYPES.items():
            if name in sqlite3.converters and await driver._execute(_converts, driver._conn, name, plain):  # noqa: SLF001
                raise ConfigurationError(
                    f"the connections of this engine convert columns of type {name} (detect_types, and a converter "
                    "that sqlite3.register_converter was given), so sessions cannot be read through them; give "
                    "sessionstore an engine without detect_types"
                )

    def sever(self, driver: Any) -> None:
        raw, driver._connection = driver._connection, None  # noqa: SLF001
        if raw is not None:
            driver._running = False  # noqa: SLF001
            driver._tx.put_nowait((_Nobody(), partial(_end_sqlite, raw)))  # noqa: SLF001


def _check_encodings(server: str | None, client: str | None) -> None:
    """Refuses encodings other than UTF-8. None: the server, or a pooler before it, did not report the encoding."""
    if not _is_utf8(server):
        raise ConfigurationError(
            f"the database keeps texts in {server}, which cannot hold all characters; make another database with "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and move the sessions there"
        )
    if not _is_utf8(client):
        raise ConfigurationError(
            f"the engine's connections use the encoding {client}, which cannot send all characters; set UTF-8: "
            "client_encoding=utf8 in connect_args for psycopg, no client_encoding in server_settings for asyncpg"
        )


def _is_utf8(encoding: str | None) -> bool:
    # PgBouncer reports the client's encoding as the client spelled it, and asyncpg puts it in quotes.
    name = "UTF8" if encoding is None else encoding.strip("'").upper().replace("-", "").replace("_", "")
    return name in ("UTF8", "UNICODE")


class _Nobody:
    """Replaces the future of a call and its event loop, after both are gone."""

    def get_loop(self) -> _Nobody:
        return self

    def call_soon_threadsafe(self, *_: object) -> None:
        """Does nothing."""


def _end_sqlite(raw: sqlite3.Connection) -> object:
    """Closes a connection in its thread, and ends the thread."""
    raw.close()
    return getattr(import_module("aiosqlite.core"), "_STOP_RUNNING_SENTINEL", None)


def _set_sqlite(raw: Any) -> object:
    if getattr(raw, "autocommit", _LEGACY) is False:
        raw.autocommit = True  # commits an open transaction
        return "autocommit", False
    before = raw.isolation_level
    raw.isolation_level = None
    return "isolation_level", before


def _put_back_sqlite(raw: Any, before: tuple[str, object]) -> None:
    setattr(raw, *before)


def _converts(raw: Any, type_name: str, plain: object) -> bool:
    """Whether a value in a column of this type is converted when it is read."""
    table = f"temp.sessionstore_converts_{type_name}"
    raw.execute(f"CREATE TABLE {table} (value {type_name}) STRICT")
    try:
        raw.execute(f"INSERT INTO {table} VALUES (1)")  # noqa: S608
        ((value,),) = sqlite3.Cursor(raw).execute(f"SELECT value FROM {table}").fetchall()  # noqa: S608
    finally:
        raw.execute(f"DROP TABLE {table}")
    return type(value) is not type(plain) or value != plain


MODES: Final[Mapping[str, Callable[[], Mode]]] = {
    "psycopg": PsycopgMode,
    "asyncpg": AsyncpgMode,
    "aiosqlite": SqliteMode,
}
