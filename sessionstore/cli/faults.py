"""Turns an error into an exit status and a line on stderr."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import ConfigurationError, InvalidSessionIdError, SessionStoreError
from .console import fail

WORK_FAILED = 1
CALL_WAS_WRONG = 2

# Matches to the end of the text, because an unescaped password makes the end of a URL ambiguous.
_URL = re.compile(r"[\w+.\-]*://.*", re.DOTALL)

# SQLSTATE classes whose messages may quote a value: data exceptions, and errors that functions raise.
_QUOTING = ("22", "38", "39", "P0")


class Commands(TyperGroup):
    """The group of all commands. It prints errors of sessionstore; other exceptions pass through."""

    def invoke(self, ctx: Any) -> Any:
        """Runs a command.

        Raises:
            typer.Exit: The command failed, and the error was printed. Has the exit status.
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
            # An error of usage quotes what was typed, perhaps a URL with a password. The classes of these errors have
            # no public name, but all of them have this attribute.
            message = getattr(error, "message", None)
            if isinstance(message, str):
                vars(error)["message"] = _URL.sub("<a URL>", message)
            raise


def _cause_of(error: SessionStoreError) -> str:
    """Returns the class and the first line of the driver's error. Servers quote rows only in later lines."""
    cause = error.__cause__
    if cause is None:
        return ""
    code = getattr(error, "code", None) or ""
    text = str(cause).strip().partition("\n")[0]
    quoting = code.startswith(_QUOTING) or not text
    return f"; cause: {type(cause).__name__}" + ("" if quoting else f": {_URL.sub('<a URL>', text)}")
