"""The faults of the storage and their errors. A driver's error is classified by code and class, never by text."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, TypeAlias

from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import StorageError, StorageUnavailableError, UpdateOutcomeUnknownError

Errors: TypeAlias = tuple[type[BaseException], ...]

NO_CONNECTION: Final = "no connection of the pool became free in time; raise pool_size, or make fewer calls at once"


# The messages for refusals by code. The name of the database precedes each message.
_REFUSALS: Final = {
    "57014": "cancelled the statement, because of its statement_timeout or on request, and nothing was written; find "
    "out what the statement waits for, or raise the timeout, then try again",
    "55P03": "would have waited for a row for longer than its lock_timeout, and nothing was written; find out which "
    "transaction holds the row, or raise the timeout, then try again",
    "25006": "only reads here, and nothing was written; use the URL of the primary server, "
    "or find out where default_transaction_read_only is set",
    "53300": "is overloaded: it has no connection left for this role; lower pool_size, raise the limit of the role, "
    "the database or the server, or put a pooler before it",
    "57P03": "is starting up, shutting down or a standby that takes no connections; try again in a moment",
    "53100": "has no room left on its disk, and nothing was written; make room, then try again",
    "53200": "has no memory left for this, and nothing was written; give the server more memory, or make smaller calls",
    "53400": "reached a configured limit, such as temp_file_limit for temporary files, and nothing was written; raise "
    "the limit, or ask for less at once, then try again",
}

_LIMITS: Final = {
    "54000": "refused a state that is too large, and nothing was written: a state, and each object and array in it, "
    "may have 268,435,455 bytes (256 MB) of jsonb; keep less in the session, or lower max_state_bytes to have such "
    "states refused before they are sent",
    "54001": "refused a state that is nested too deeply, and nothing was written; nest less, or raise max_stack_depth",
}
"""The messages for refusals by code that a retry cannot help."""

NOT_PREPARED: Final = {"26000", "42P05"}

LOCK_NOT_AVAILABLE: Final = "55P03"
"""The code of a statement that is refused because a lock was not free within lock_timeout."""

DEADLOCK: Final = "40P01"
"""The code of a statement that is rolled back because transactions waited for each other."""

UNIQUE_VIOLATION: Final = "23505"
DIVISION_BY_ZERO: Final = "22012"

TOO_MANY: Final = "53300"
"""The code of a connection that is refused because the server, the database or the role has no more connections."""

NOT_YET: Final = "57P03"
"""The code of a connection that is refused because the server is starting or shutting down."""

MOMENTARY: Final = "08001"
"""The code of a connection that could not be made. Here: it was refused, but a second attempt was not."""

READ_ONLY: Final = "25006"
"""The code of a write that is refused because the server or the role is read-only."""


class Fault(Enum):
    """The kinds of faults that need different handling."""

    LOST = auto()
    """The connection broke. Whether the statement ran is unknown."""
    REFUSED = auto()
    """Nothing was run, and a retry may succeed: no connection, a timeout, no disk space, or too many connections."""
    ROLLED_BACK = auto()
    """The server undid the statement because of a concurrent transaction: a deadlock or a serialization failure."""
    ENDED = auto()
    """The transaction took too long. The server rolled it back and closed the connection."""
    SILENT = auto()
    """The statement got no answer within statement_timeout, and the server did not confirm its cancellation."""
    SLOW = auto()
    """The statement got no answer within statement_timeout, and the server confirmed its cancellation."""
    READ_ONLY = auto()
    """The connection is read-only: its server is a standby, or was one when the connection was made."""
    STALE = auto()
    """A prepared statement of this connection is no longer valid. The server refused it before it ran."""
    SCHEMA = auto()
    """A table or column may be missing."""
    DENIED = auto()
    """The role lacks a privilege."""
    UNREAD = auto()
    """The driver itself failed on an open connection. Whether the statement ran is unknown."""


def driver_error(error: BaseException) -> BaseException:
    """Returns the driver's own error from SQLAlchemy's wrapper. The wrapper's text may quote parameters."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def code_of(error: BaseException) -> str | None:
    """Returns the SQLSTATE or the SQLite error name of an error, also from SQLAlchemy's wrapper; None: no code."""
    error = driver_error(error)
    for attribute in ("sqlstate", "sqlite_errorname"):
        code = getattr(error, attribute, None)
        if isinstance(code, str):
            return code
    return None


def source_of(error: BaseException) -> str | None:
    """Returns the name of the function in PostgreSQL's source code that raised the error; None: unknown."""
    function = getattr(error, "server_source_function", None)  # asyncpg
    return function or getattr(getattr(error, "diag", None), "source_function", None)  # psycopg


def fault_without_code(
    error: BaseException, *, connected: bool, alive: bool, errors: Errors, unsent: Errors
) -> Fault | None:
    """Classifies an error that has no code of the database; None: the error is no fault of the storage.

    Args:
        error: The error that was raised.
        connected: Whether there was a connection, so that a statement may have run.
        alive: Whether the driver says that the connection is still open.
        errors: The classes of the driver's errors.
        unsent: The classes of errors that the driver raises before it sends anything.
    """
    if not connected:
        return Fault.REFUSED if isinstance(error, (OSError, *errors)) else None
    if not alive or isinstance(error, OSError):
        return Fault.LOST
    return None if isinstance(error, (*unsent, UnicodeEncodeError)) else Fault.UNREAD


def storage_error(
    error: BaseException,
    fault: Fault | None,
    *,
    backend: str,
    writing: bool,
    unsent: Errors = (),
    trouble: str | None = None,
) -> StorageError:
    """Makes the error to raise. It has nothing of the driver's text, which may quote a state or a password.

    Args:
        error: The error that was raised.
        fault: The kind of fault.
        backend: The name of the database.
        writing: Whether the operation was a write.
        unsent: The classes of errors that the driver raises for an argument or a call that it does not accept.
        trouble: The message, if the reason is already known; None: the message comes from the error.
    """
    code = code_of(error)
    if trouble is not None:
        return (StorageUnavailableError if fault is Fault.REFUSED else StorageError)(trouble, code=code)
    if isinstance(error, PoolTimeout):
        return StorageUnavailableError(NO_CONNECTION)
    if fault is Fault.LOST and writing:
        return UpdateOutcomeUnknownError(
            f"the connection to {backend} was lost during a write, which may or may not have landed; "
            "read the session before repeating it",
            code=code,
        )
    if fault is Fault.UNREAD and writing:
        return UpdateOutcomeUnknownError(
            f"{_failed_in_python(error, backend)} during a write, which may or may not have landed; "
            "read the session before repeating it"
        )
    if fault in (Fault.SILENT, Fault.SLOW) and writing:
        return UpdateOutcomeUnknownError(
            f"{backend} did not answer a write within statement_timeout; the write may or may not have landed; read "
            "the session before repeating it"
        )
    if fault in (Fault.SILENT, Fault.SLOW):
        return StorageUnavailableError(
            f"{backend} did not answer a statement within statement_timeout; find out whether the statement waits for "
            "a transaction that locks the table, as a migration does (pg_locks shows it), try again, or raise "
            "statement_timeout"
        )
    if fault is Fault.LOST:
        return StorageUnavailableError(f"the connection to {backend} was lost; try again", code=code)
    if fault is Fault.ROLLED_BACK:
        return StorageUnavailableError(
            f"{backend} rolled the statement back at each of several attempts (deadlock or serialization failure), and "
            "nothing was written; try again, and look for other transactions that lock these sessions",
            code=code,
        )
    if fault is Fault.ENDED:
        return StorageUnavailableError(
            f"{backend} ended the connection because its transaction took too long, and nothing was written; make the "
            "update function faster, or raise idle_in_transaction_session_timeout or transaction_timeout",
            code=code,
        )
    if fault in (Fault.REFUSED, Fault.READ_ONLY) and code in _REFUSALS:
        return StorageUnavailableError(f"{backend} {_REFUSALS[code]}", code=code)
    if code in _LIMITS:
        return StorageError(f"{backend} {_LIMITS[code]}", code=code)
    if code in NOT_PREPARED:
        return StorageError(
            f"{backend} lost the prepared statements of this connection; behind a pooler in transaction mode, add "
            "prepared_statements=false to the URL",
            code=code,
        )
    if fault is Fault.REFUSED and code is None and isinstance(driver_error(error), unsent):
        return StorageUnavailableError(
            f"{_failed_in_python(error, backend)} while the engine made a connection; see that the arguments in the "
            "URL and in connect_args are right, and that no creator and no event of the engine leaves a transaction "
            "open on a new connection, then try again; the cause has the details"
        )
    if fault is Fault.REFUSED:
        return StorageUnavailableError(
            f"could not use {backend}; check that the server runs and is not overloaded, and that host, port, "
            "database, user, password and TLS settings in the URL are right, then try again; the cause has the details",
            code=code,
        )
    if fault is Fault.DENIED and backend == "sqlite":
        return StorageError(
            "the SQLite file may not be written by this user; let the user write the file and its directory",
            code=code,
        )
    if fault is Fault.DENIED:
        return StorageError(
            f"{backend} refused the statement for lack of a privilege, although the role has the privileges that "
            "sessionstore needs; look for a trigger, a function or a policy that needs another privilege",
            code=code,
        )
    if isinstance(error, InvalidRequestError):
        return StorageError(
            f"the engine for {backend} cannot be used, perhaps because it was disposed; make a new engine"
        )
    if code is None:
        return StorageError(f"{_failed_in_python(error, backend)}; the cause has the details")
    return StorageError(f"{backend} reported an unexpected error; the cause has the details", code=code)


def refused_access(backend: str) -> StorageUnavailableError:
    """Makes the error for a read whose access cannot be written, because the server is read-only."""
    return StorageUnavailableError(f"{backend} {_REFUSALS[READ_ONLY]}", code=READ_ONLY)


def _failed_in_python(error: BaseException, backend: str) -> str:
    return f"the driver of {backend} failed with {type(driver_error(error)).__name__}"


def of_one_statement(error: BaseException) -> bool:
    """Whether the server refused a statement because of its time, memory or disk space, or because of one of its rows.

    A smaller statement may succeed. Other refusals, such as those of a read-only server, concern every statement.
    """
    return code_of(error) in _SMALLER


_SMALLER: Final = {"57014", "55P03", "53000", "53200", "53400"}
