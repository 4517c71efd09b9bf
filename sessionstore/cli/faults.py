"""From what went wrong to an exit status and a line on stderr."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import ConfigurationError, InvalidSessionIdError, SessionStoreError
from .console import fail

WORK_FAILED = 1
CALL_WAS_WRONG = 2

# To the end, because nobody can tell where a URL ends whose password was not escaped.
_URL = re.compile(r"[\w+.\-]*://.*", re.DOTALL)

# Data exceptions, and what functions raise: their messages may quote a value.
_QUOTING = ("22", "38", "39", "P0")


class Desk(TyperGroup):
    """The group of all commands: every error of sessionstore's ends here, an error of programming passes through."""

    def invoke(self, ctx: Any) -> Any:
        """Runs a command.

        Raises:
            typer.Exit: With the status of the error, which was told.
        """
        try:
            return super().invoke(ctx)
        except (ConfigurationError, InvalidSessionIdError) as error:
            fail(str(error), CALL_WAS_WRONG)
        except SessionStoreError as error:
            fail(f"{error}{_cause_of(error)}", WORK_FAILED)
        except typer.Exit:
            raise
        except Exception as error:
            # Errors of usage quote what was typed, and a URL that was put into the wrong place holds its password.
            # Their classes have no public name, but all of them carry their text here.
            message = getattr(error, "message", None)
            if isinstance(message, str):
                vars(error)["message"] = _URL.sub("<a URL>", message)
            raise


def _cause_of(error: SessionStoreError) -> str:
    """What the driver said: the class and the first line of its error, in which servers quote no rows."""
    cause = error.__cause__
    if cause is None:
        return ""
    code = getattr(error, "code", None) or ""
    text = str(cause).strip().partition("\n")[0]
    quoting = code.startswith(_QUOTING) or not text
    return f"; cause: {type(cause).__name__}" + ("" if quoting else f": {_URL.sub('<a URL>', text)}")
