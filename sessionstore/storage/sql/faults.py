"""What went wrong, from the driver's error: by its code and class, never by its text."""

from __future__ import annotations

from enum import Enum, auto

from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import StorageError, StorageUnavailableError, UpdateOutcomeUnknownError


class Fault(Enum):
    """The kinds of faults that callers, or the provider, treat differently."""

    LOST = auto()
    """The connection broke; whether the statement was run is unknown."""
    REFUSED = auto()
    """Nothing was run, and it may work later: no connection, no time, no room, no right to write here now."""
    SCHEMA = auto()
    """A table or column is not there."""
    DENIED = auto()
    """The role may not do this."""


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error, out of SQLAlchemy's wrapper, whose text may quote parameters."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def code_of(error: BaseException) -> str | None:
    """The SQLSTATE or the SQLite error name."""
    for attribute in ("sqlstate", "sqlite_errorname"):
        code = getattr(error, attribute, None)
        if isinstance(code, str):
            return code
    return None


def no_connection_free() -> StorageUnavailableError:
    """The error for those who waited for a connection in vain."""
    return StorageUnavailableError(
        "no connection to the database became free in time; raise pool_size or ask for less at once"
    )


def storage_error(error: BaseException, fault: Fault | None, *, backend: str, writing: bool) -> StorageError:
    """The error to raise, without a word of the driver's text, which may quote a state or a password."""
    code = code_of(error)
    if isinstance(error, PoolTimeout):
        return no_connection_free()
    if fault is Fault.LOST and writing:
        return UpdateOutcomeUnknownError(
            f"the connection to {backend} was lost during a write, which may or may not have landed; "
            "read before repeating it",
            code=code,
        )
    if fault is Fault.LOST:
        return StorageUnavailableError(f"the connection to {backend} was lost; try again", code=code)
    if fault is Fault.REFUSED:
        return StorageUnavailableError(
            f"{backend} could not be asked; check that it runs, that the URL's host, user and password are right, "
            "and that it is not overloaded, then try again",
            code=code,
        )
    if fault is Fault.DENIED:
        return StorageError(
            f"the role may not do this in {backend}; grant it USAGE on the schema "
            "and SELECT, INSERT, UPDATE and DELETE on its tables",
            code=code,
        )
    if isinstance(error, InvalidRequestError):
        return StorageError(f"the engine for {backend} cannot be used; it may have been disposed")
    return StorageError(f"{backend} failed; the cause has the details", code=code)
