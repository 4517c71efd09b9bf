"""The errors of this library as problem details (RFC 9457), for Starlette and FastAPI."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from ...errors import (
    ConfigurationError,
    CorruptStateError,
    InvalidSessionIdError,
    InvalidStateError,
    ItemNotFoundError,
    SchemaError,
    SessionConflictError,
    SessionNotFoundError,
    SessionOwnerError,
    SessionStoreError,
    StateTooLargeError,
    StorageError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)

logger = logging.getLogger(__name__)


class _Problem(NamedTuple):
    status: int
    title: str
    detail: str
    retry_after: int | None = None


# The messages of errors name roles, hosts and paths in states, and are for the service. Clients get these texts.
_PROBLEMS: Final[dict[type[SessionStoreError], _Problem]] = {
    SessionNotFoundError: _Problem(404, "Session not found", "The session never existed, was deleted, or has expired."),
    ItemNotFoundError: _Problem(
        404, "Item not found", "The item never existed, or the item or its session was removed."
    ),
    SessionConflictError: _Problem(
        409, "Session changed meanwhile", "Read the session again, then repeat the change if it still applies."
    ),
    SessionOwnerError: _Problem(409, "Session id in use", "Another session has this id; choose another id."),
    InvalidSessionIdError: _Problem(
        422, "Invalid session id", "A session id has 1 to 255 characters and no control characters."
    ),
    InvalidStateError: _Problem(422, "Invalid content", "A value cannot be stored as JSON and read back unchanged."),
    StateTooLargeError: _Problem(413, "Content too large", "The session or an item would be longer than is accepted."),
    CorruptStateError: _Problem(500, "Unreadable session", "This service cannot read the stored content."),
    ConfigurationError: _Problem(500, "Service misconfigured", "The service called its session storage wrongly."),
    StorageUnavailableError: _Problem(
        503, "Session storage unavailable", "Nothing was written. Try again later.", retry_after=1
    ),
    UpdateOutcomeUnknownError: _Problem(
        503, "Outcome unknown", "The change may or may not have been stored. Read the session before you repeat it."
    ),
    StorageError: _Problem(503, "Session storage failed", "The session storage did not accept the call."),
    SchemaError: _Problem(503, "Session storage not ready", "The tables of the session storage need a migration."),
    SessionStoreError: _Problem(500, "Session error", "The session storage could not serve the call."),
}

_TRY_AGAIN_LATER: Final = 1013
_INTERNAL_ERROR: Final = 1011
_POLICY_VIOLATION: Final = 1008
"""Close codes of WebSockets (RFC 6455, section 7.4, and the registry of IANA)."""


def problem_of(error: SessionStoreError) -> dict[str, Any]:
    """Returns the problem details of an error. They hold nothing of a state, an id, a role, a host or a URL."""
    kind = _kind_of(error)
    problem = _PROBLEMS[kind]
    members: dict[str, Any] = {
        "type": f"urn:sessionstore:{_slug(kind)}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    if isinstance(error, StateTooLargeError):
        members |= {"size": error.size, "limit": error.limit}
    elif isinstance(error, SessionConflictError) and error.of not in ("absence", "ids"):
        members |= {"expected": int(error.expected), "actual": int(error.actual)}
    return members


def problem_response(error: SessionStoreError) -> Response:
    """Returns the response to a request that ended with an error, as ``application/problem+json``."""
    problem = _PROBLEMS[_kind_of(error)]
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return JSONResponse(problem_of(error), problem.status, headers, media_type="application/problem+json")


async def answer_problem(connection: HTTPConnection, error: Exception) -> Any:
    """Handles a SessionStoreError: answers the request, or closes the WebSocket."""
    assert isinstance(error, SessionStoreError)
    status = _PROBLEMS[_kind_of(error)].status
    if status >= 500:
        # Frameworks do not log an error that has a handler.
        logger.error("a request failed with status %d", status, exc_info=error)
    if isinstance(connection, WebSocket):
        later = _TRY_AGAIN_LATER if status == 503 else _INTERNAL_ERROR
        await connection.close(later if status >= 500 else _POLICY_VIOLATION, _PROBLEMS[_kind_of(error)].title)
        return None
    return problem_response(error)


problem_handlers: Final[dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]]] = {
    SessionStoreError: answer_problem
}
"""For ``Starlette(exception_handlers=...)`` and ``FastAPI(exception_handlers=...)``."""


def install_error_handlers(app: Starlette) -> None:
    """Makes an application answer this library's errors with problem details (404, 409, 413, 422, 500 and 503).

    Args:
        app: The application: Starlette or FastAPI.
    """
    for kind, handler in problem_handlers.items():
        app.add_exception_handler(kind, handler)


def _kind_of(error: SessionStoreError) -> type[SessionStoreError]:
    return next(kind for kind in type(error).__mro__ if kind in _PROBLEMS)


def _slug(kind: type[SessionStoreError]) -> str:
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__)
    return words.strip("-").removesuffix("-error")
