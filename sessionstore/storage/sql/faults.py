"""What went wrong, from the driver's error: by its code and class, never by its text."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, TypeAlias

from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import StorageError, StorageUnavailableError, UpdateOutcomeUnknownError

Errors: TypeAlias = tuple[type[BaseException], ...]

NO_CONNECTION: Final = "no connection of the pool became free in time; raise pool_size, or make fewer calls at once"


# What to do about what was refused, where the code tells more than that it was.
_REFUSALS: Final = {
    "57014": "cancelled the statement, for its statement_timeout or because somebody asked for it, and nothing was "
    "written; find out what holds it up, or raise the timeout, then try again",
    "55P03": "would have waited for a row for longer than its lock_timeout, and nothing was written; find out who "
    "holds the row, or raise the timeout, then try again",
    "25006": "only reads here, and nothing was written; give the URL of the primary, "
    "or see who set default_transaction_read_only",
    "53300": "is overloaded: it has no connection left for this role; lower pool_size, raise the limit of the role, "
    "the database or the server, or put a pooler before it",
    "57P03": "is starting up, shutting down or a standby that takes no connections; try again in a moment",
    "53100": "has no room left on its disk, and nothing was written; make room, then try again",
    "53200": "has no memory left for this, and nothing was written; give the server more memory, or make smaller calls",
    "53400": "would have used more than it is allowed to, such as temp_file_limit for temporary files, and nothing was "
    "written; raise the limit, or ask for less at once, then try again",
}

_LIMITS: Final = {
    "54000": "has a limit that this exceeds, and nothing was written: a state, and each object and array in it, takes "
    "268,435,455 bytes (256 MB) of jsonb at most; keep less in the session, or lower max_state_bytes to have it "
    "refused before it is sent",
    "54001": "cannot take apart what is nested so deeply, and nothing was written; nest less, or raise max_stack_depth",
}
"""What no second try makes smaller."""

NOT_PREPARED: Final = {"26000", "42P05"}

READ_ONLY: Final = "25006"
"""The code of what is refused because the server, or the role, only reads."""


class Fault(Enum):
    """The kinds of faults that callers, or the provider, treat differently."""

    LOST = auto()
    """The connection broke; whether the statement was run is unknown."""
    REFUSED = auto()
    """Nothing was run, and it may work later: no connection, no time, no room, no right to write here now."""
    ROLLED_BACK = auto()
    """Nothing of it stays, because of what others did at the same time: a deadlock, a serialization failure."""
    ENDED = auto()
    """The server ended the connection, and its transaction, of which nothing stays, for having lasted too long."""
    SILENT = auto()
    """There was no answer within the bound of a statement, and none when the statement was cancelled."""
    SLOW = auto()
    """There was no answer within the bound of a statement, and the server cancelled it."""
    READ_ONLY = auto()
    """This connection only reads: it leads to a standby, or to a server that was one when it was made."""
    STALE = auto()
    """What was prepared on this connection does not fit any more: the server refused it before it ran."""
    SCHEMA = auto()
    """A table or column may not be there."""
    DENIED = auto()
    """The role may not do this."""
    UNREAD = auto()
    """The driver failed on a living connection, maybe after the statement was run: whether it was is unknown."""


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error, out of SQLAlchemy's wrapper, whose text may quote parameters."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def code_of(error: BaseException) -> str | None:
    """The SQLSTATE or the SQLite error name, also out of SQLAlchemy's wrapper."""
    error = driver_error(error)
    for attribute in ("sqlstate", "sqlite_errorname"):
        code = getattr(error, attribute, None)
        if isinstance(code, str):
            return code
    return None


def source_of(error: BaseException) -> str | None:
    """The function of the server that raised the error, as PostgreSQL's source code names it."""
    function = getattr(error, "server_source_function", None)  # asyncpg
    return function or getattr(getattr(error, "diag", None), "source_function", None)  # psycopg


def fault_without_code(
    error: BaseException, *, connected: bool, alive: bool, errors: Errors, unsent: Errors
) -> Fault | None:
    """What kind of fault an error is for which the database gave no code.

    Args:
        error: What was raised.
        connected: Whether there was a connection, so that something may have been run.
        alive: Whether the connection says that it is still there.
        errors: What the driver raises.
        unsent: What the driver raises before it sends anything: a parameter or a call that it does not take.
    """
    # What the operating system and the driver say while they connect.
    if not connected:
        return Fault.REFUSED if isinstance(error, (OSError, *errors)) else None
    if not alive or isinstance(error, OSError):
        return Fault.LOST
    return None if isinstance(error, (*unsent, UnicodeEncodeError)) else Fault.UNREAD


def storage_error(
    error: BaseException, fault: Fault | None, *, backend: str, writing: bool, trouble: str | None = None
) -> StorageError:
    """The error to raise, without a word of the driver's text, which may quote a state or a password.

    Args:
        error: What was raised.
        fault: What kind of fault it is.
        backend: The name of the database.
        writing: Whether something was to be written.
        trouble: What was found to be wrong, where that is known better than from the error.
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
            f"{backend} did not answer a statement within statement_timeout; try again, or raise statement_timeout"
        )
    if fault is Fault.LOST:
        return StorageUnavailableError(f"the connection to {backend} was lost; try again", code=code)
    if fault is Fault.ROLLED_BACK:
        return StorageUnavailableError(
            f"{backend} rolled the statement back at each of several attempts (deadlock or serialization failure), and "
            "nothing was written; try again, and look for transactions of others that lock these sessions",
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
            f"{backend} does not know the statements that were prepared on this connection: behind a pooler in "
            "transaction mode, add prepared_statements=false to the URL",
            code=code,
        )
    if fault is Fault.REFUSED:
        return StorageUnavailableError(
            f"could not use {backend}; check that the server runs and is not overloaded, and that host, port, "
            "database, user, password and TLS settings in the URL are right, then try again; the cause has the details",
            code=code,
        )
    if fault is Fault.DENIED and backend == "sqlite":
        return StorageError(
            "the SQLite file may not be written; give this user the right to write the file and its directory",
            code=code,
        )
    if fault is Fault.DENIED:
        return StorageError(
            f"the role may not do this in {backend}; grant it USAGE on the schema "
            "and SELECT, INSERT, UPDATE and DELETE on its tables",
            code=code,
        )
    if isinstance(error, InvalidRequestError):
        return StorageError(f"the engine for {backend} cannot be used; it may have been disposed of; make another one")
    if code is None:
        return StorageError(f"{_failed_in_python(error, backend)}; the cause has the details")
    return StorageError(f"{backend} failed; the cause has the details", code=code)


def refused_access(backend: str) -> StorageUnavailableError:
    """What a read is told whose access cannot be written, because the server only reads."""
    return StorageUnavailableError(f"{backend} {_REFUSALS[READ_ONLY]}", code=READ_ONLY)


def _failed_in_python(error: BaseException, backend: str) -> str:
    return f"the driver of {backend} failed with {type(driver_error(error)).__name__}"


def of_one_statement(error: BaseException) -> bool:
    """Whether the server refused a statement for the time, memory or room that it takes, or for one of its rows.

    A smaller one may be done. What a server that is full or only reads refuses, it refuses of all.
    """
    return code_of(error) in _SMALLER


_SMALLER: Final = {"57014", "55P03", "53000", "53200", "53400"}
