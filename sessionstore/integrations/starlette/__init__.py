"""Sessions of browsers for Starlette and FastAPI, and sessions by id for FastAPI.

`SessionMiddleware` gives `request.session`. `session_of` is a dependency of FastAPI, the only part that needs it.
`install_error_handlers` answers the errors of this library as problem details. See docs/frameworks/starlette.md.
"""

from __future__ import annotations

from ..missing import missing_extra

try:
    import starlette as _starlette  # noqa: F401
except ModuleNotFoundError as error:
    raise missing_extra("starlette", error) from error

from .dependency import session_of
from .middleware import SessionMiddleware
from .problems import install_error_handlers, problem_handlers, problem_of, problem_response
from .session import Session

__all__ = [
    "Session",
    "SessionMiddleware",
    "install_error_handlers",
    "problem_handlers",
    "problem_of",
    "problem_response",
    "session_of",
]
