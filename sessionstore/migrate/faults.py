"""Translates errors of a migration into errors of the library, by code and class, never by the text of a message."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, TypeVar

from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..errors import ConfigurationError, SessionStoreError, StorageError, StorageUnavailableError
from ..storage.sql.causes import Stage, clean_cause
from ..storage.sql.faults import DEADLOCK, LOCK_NOT_AVAILABLE, READ_ONLY, code_of, driver_error
from ..storage.sql.sqlite_file import trouble_with
from .target import Target
from .waits import shown

R = TypeVar("R")

_EXPECTED: Final = (SessionStoreError, CommandError, SQLAlchemyError, sqlite3.Error, OSError)

_LONGER: Final = "try again later, or wait longer: --lock-timeout, or lock_timeout= in Python"

_UNAVAILABLE: Final = {
    LOCK_NOT_AVAILABLE: "another transaction holds a lock on the tables; nothing was changed, try again",
    DEADLOCK: "this and other transactions waited for each other (a deadlock); nothing was changed, try again",
    READ_ONLY: "the server is read-only; give the URL of the primary, or check default_transaction_read_only",
    "25P03": "the server closed the connection, because of idle_in_transaction_session_timeout; raise it for this "
    "role, and try again",
    "25P04": "the server closed the connection, because of transaction_timeout; raise it for this role, and try again",
    "53100": "the server's disk is full; make room, and try again",
    "53200": "the server is out of memory; try again when it has less to do",
    "53300": "the server has no connection left for this role; close some, or raise the limit, and try again",
    "57014": "the server cancelled a statement, because of statement_timeout or because a user asked for it; set "
    "statement_timeout to 0 for this role, or add ?options=-c%20statement_timeout%3D0 to the URL, and try again",
    "57P01": "the server closed the connection, because it shuts down or because a user asked for it; try again",
    "57P03": "the server is starting up, shutting down or a standby; try again in a moment",
}
_FAILED: Final = {
    "42501": "the role lacks rights: it needs CREATE on the schema, or on the database if the schema is missing, and "
    "has to own the tables that exist",
    "42P07": "a table of this name exists, which the migrations did not make; rename that table, or use another schema",
    "42P06": "a schema of this name exists, and this role has no rights on it; grant it rights, or use another schema",
}


def guarded(target: Target, doing: str, run: Callable[[], R]) -> R:
    """Runs a function and translates its errors.

    Args:
        target: The database.
        doing: What the function does, as the subject of error messages: "a migration" (failed).
        run: The function.

    Raises:
        StorageError: The database failed or could not be reached.
        ConfigurationError: There is no such revision.
    """
    try:
        return run()
    except _EXPECTED as error:
        failure = _translated(error, target, doing)
    # The original error is dropped, because it refers to connections. The __cause__ is a clean copy of it.
    failure.__context__ = None
    raise failure


@contextmanager
def faults(target: Target, doing: str) -> Generator[None]:
    """Translates the errors of a block, as guarded() does."""
    try:
        yield
    except _EXPECTED as error:
        raise _translated(error, target, doing)  # noqa: B904  # _translated() sets the cause


def _waited(target: Target, whom: str) -> StorageUnavailableError:
    """Returns the error of a migration that got no lock in time."""
    return StorageUnavailableError(
        f"a migration waited {shown(target.lock_wait.timeout)} for a lock in {target.place}, held by {whom}, and "
        f"nothing was changed; {_LONGER}",
        code=LOCK_NOT_AVAILABLE,
    )


def keep_waiting(target: Target, whom: str, cause: BaseException | None) -> None:
    """Reports whose lock a migration waits for, before its next try.

    Raises:
        StorageUnavailableError: There is no time for another try.
    """
    if target.lock_wait.over:
        raise _waited(target, whom) from cause
    target.lock_wait.report(f"a lock in {target.place}, held by {whom}")


def _translated(error: Exception, target: Target, doing: str) -> SessionStoreError:
    if isinstance(error, SessionStoreError):
        return error
    if isinstance(error, CommandError):
        # Alembic's message is about its files and branches, which a user of the library does not know.
        failure: SessionStoreError = ConfigurationError(
            "there is no such revision, or it lies in the other direction: upgrade goes to a later revision, downgrade "
            "to an earlier one"
        )
        failure.__suppress_context__ = True
        return failure
    code = code_of(driver_error(error))
    failure = _of_sqlite(code, target, doing) if target.file is not None else _of_postgresql(error, code, doing)
    failure.__cause__ = clean_cause(error, Stage.CONNECTED if code else Stage.CONNECTING)
    return failure


def _of_postgresql(error: Exception, code: str | None, doing: str) -> StorageError:
    if code in _UNAVAILABLE:
        return StorageUnavailableError(f"{doing} failed: {_UNAVAILABLE[code]}", code=code)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return StorageUnavailableError(f"{doing} failed: the connection to the database was lost; try again", code=code)
    if code is None or code.startswith(("08", "28")) or code == "3D000":
        return StorageUnavailableError(
            "could not connect to the database; check that the server runs, and that host, port, database, user, "
            "password and TLS settings in the URL are right; the cause has the details",
            code=code,
        )
    if code in _FAILED:
        return StorageError(f"{doing} failed: {_FAILED[code]}", code=code)
    if code.startswith(("53", "57")):
        return StorageUnavailableError(f"{doing} failed; try again later, and see the cause for details", code=code)
    return StorageError(f"{doing} failed, and was rolled back; the cause has the details", code=code)


def _of_sqlite(code: str | None, target: Target, doing: str) -> StorageError:
    if code is not None and code.startswith("SQLITE_BUSY"):
        return StorageUnavailableError(
            f"{doing} waited {shown(target.lock_wait.timeout)} for {target.place}, which other processes write, and "
            f"nothing was changed; {_LONGER}",
            code=code,
        )
    words = trouble_with(target.url, code) or f"{doing} failed in {target.place}; the cause has the details"
    unavailable = code is not None and code.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL"))
    return (StorageUnavailableError if unavailable else StorageError)(words, code=code)
