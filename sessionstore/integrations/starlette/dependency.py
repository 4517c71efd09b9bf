"""session_of: a dependency of FastAPI that reads the session which a request names."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, Final, TypeVar

from starlette.requests import HTTPConnection

from ...errors import ConfigurationError, SessionStoreError
from ...ids import SessionId
from ...manager import SessionManager
from ...session import SessionResult
from ..missing import missing_extra
from .problems import problem_of

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  # as in SessionManager[T, I]

_CONNECTION: Final = "sessionstore_connection"
_OWNER: Final = "sessionstore_owner"
"""Names of the dependency's own parameters, which no path parameter is likely to have."""


def session_of(
    manager: SessionManager[T, I],
    *,
    path: str | None = None,
    header: str | None = None,
    owner: Callable[..., str] | Callable[..., Awaitable[str]] | None = None,
    last_items: int = 0,
    log: str = "",
    touch: bool = True,
) -> Callable[..., Coroutine[Any, Any, SessionResult[T, I]]]:
    """Makes a dependency that reads the session whose id is in the path or in a header of the request.

    With ``chat: Annotated[SessionResult[Chat], Depends(session_of(chats))]``, the handler gets a session that exists:
    ``chat.unwrap()`` is its state, and ``chat.version`` is for ``expected_version``. If the session is not found, the
    handler is not called, and the client gets the error: as problem details after install_error_handlers(), or else as
    FastAPI answers an HTTPException.

    Args:
        manager: Reads the session.
        path: The path parameter with the id; by default ``session_id``.
        header: The header with the id, instead of a path parameter.
        owner: A dependency that returns the owner, for example the user who is logged in. Only this owner's sessions
            are found. Without it, everybody who knows the session id gets the session.
        last_items: How many of the newest items to read, as ``result.items``.
        log: The log whose items are read.
        touch: Whether the request counts as an access, which moves the expiry.

    Raises:
        ConfigurationError: Both a path parameter and a header are named.
        ModuleNotFoundError: FastAPI is not installed.
    """
    try:
        import fastapi
    except ModuleNotFoundError as error:
        raise missing_extra("fastapi", error) from error
    if path is not None and header is not None:
        raise ConfigurationError("session_of() takes the id from a path parameter or from a header, not from both")
    named = "session_id" if path is None else path

    async def session(**given: Any) -> SessionResult[T, I]:
        found = await manager.get_session(
            given[named], last_items=last_items, log=log, touch=touch, owner_id=given.get(_OWNER)
        )
        if found.error is not None:
            raise _answerable(given[_CONNECTION], found.error)
        return found

    def _answerable(connection: HTTPConnection, error: SessionStoreError) -> Exception:
        handled = getattr(connection.scope.get("app"), "exception_handlers", {})
        if any(kind in handled for kind in type(error).__mro__):
            return error
        problem = problem_of(error)
        refusal = fastapi.HTTPException(problem["status"], f"{problem['title']}. {problem['detail']}")
        refusal.__cause__ = error
        return refusal

    # FastAPI reads the parameters of a dependency from its signature.
    place = fastapi.Path() if header is None else fastapi.Header(alias=header)
    parameters = [(_CONNECTION, HTTPConnection), (named, Annotated[SessionId, place])]
    if owner is not None:
        parameters.append((_OWNER, Annotated[str, fastapi.Depends(owner)]))
    session.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in parameters]
    )
    return session
