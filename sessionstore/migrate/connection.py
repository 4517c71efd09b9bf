"""Opens the synchronous connection that a migration runs on."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from ..errors import ConfigurationError
from ..storage.sql.connections.engine import CONNECT_SECONDS
from ..storage.sql.faults import driver_error
from .target import Target

_TURN: Final = 10.0
"""Seconds of one wait for the SQLite file."""


@contextmanager
def connected(target: Target) -> Generator[Connection]:
    """Opens a connection, and closes it at the end of the block.

    Raises:
        ConfigurationError: The encoding of the database is not UTF-8.
    """
    engine = _postgresql(target) if target.schema is not None else _sqlite(target)
    try:
        with engine.connect() as connection:
            if target.schema is not None:
                _check_encoding(connection)
            # Without a default schema, SQLAlchemy names the schema in every statement, whatever search_path says.
            connection.dialect.default_schema_name = None
            yield connection
    finally:
        engine.dispose()


def _postgresql(target: Target) -> Engine:
    defaults = {"connect_timeout": CONNECT_SECONDS, "fallback_application_name": "sessionstore migrate"}
    return create_engine(
        target.url, poolclass=NullPool, hide_parameters=True, connect_args=defaults | dict(target.connect_args)
    )


def _check_encoding(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    encoding: bytes = driver.pgconn.parameter_status(b"server_encoding") or b"UTF8"
    if encoding != b"UTF8":
        raise ConfigurationError(
            f"the encoding of the database is {encoding.decode()}, which cannot hold all characters; create a "
            "database with ENCODING 'UTF8' TEMPLATE template0, and migrate that one"
        )


def _sqlite(target: Target) -> Engine:
    lock_wait = target.lock_wait
    engine = create_engine(
        target.url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": 0, **target.connect_args}
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        # The driver must not begin transactions, because _begin() does. The file keeps the WAL mode, which lets readers
        # and a writer work at the same time.
        connection.isolation_level = None
        while not _done(lambda: connection.execute("PRAGMA journal_mode = WAL").close(), target):
            # Switching to WAL needs an exclusive lock, and SQLite's busy_timeout does not apply to it.
            time.sleep(random.uniform(0, 0.05))  # noqa: S311

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        def begin() -> None:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {lock_wait.turn(_TURN)}")
            # Locks the file before the revision is read: one process migrates, and the others find the work done.
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        while not _done(begin, target):
            pass

    return engine


def _done(step: Any, target: Target) -> bool:
    """Runs a step once. False: another process locks the file, and there is time for another try."""
    try:
        step()
    except (sqlite3.OperationalError, DBAPIError) as error:
        busy = getattr(driver_error(error), "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        if not busy or target.lock_wait.over:
            raise
        target.lock_wait.report(f"the process that writes {target.place}")
        return False
    return True
