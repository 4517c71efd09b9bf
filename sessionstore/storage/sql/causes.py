"""The cause of a StorageError: a copy of the driver's error that quotes no row and keeps no connection.

The original may quote a row: the server puts a refused row into the error's details, and a trigger may put one into
the message. Python's own errors keep values too: ``UnicodeEncodeError.object`` is a whole parameter. A traceback
refers to frames, which refer to parameters and to the connection.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum, auto
from itertools import pairwise
from pathlib import PurePath
from typing import Any, Final

from .faults import code_of, driver_error, source_of

_QUOTING_CLASSES: Final = ("22", "38", "39", "HV", "P0")
"""The classes of data exceptions, which quote values, and of errors in functions, which may quote anything."""
_RAISED_BY_PROCEDURES: Final = ("exec_stmt_raise", "PLy_elog_impl", "plperl_util_elog")
"""The functions of the server that raise errors for procedures. A procedure may choose any message and any code."""
_SQLITE_QUOTING: Final = ("SQLITE_CONSTRAINT_TRIGGER",)

_SERVER: Final = {
    "severity": ("severity", "S"),
    "severity_en": ("severity_nonlocalized", "V"),
    "sqlstate": ("sqlstate", "C"),
    "server_source_filename": ("source_file", "F"),
    "server_source_line": ("source_line", "L"),
    "server_source_function": ("source_function", "R"),
}
"""The error fields about the server: asyncpg's attribute, psycopg's attribute, and the field's code in the protocol."""
_NAMES: Final = {
    "schema_name": ("schema_name", "s"),
    "table_name": ("table_name", "t"),
    "column_name": ("column_name", "c"),
    "data_type_name": ("datatype_name", "d"),
    "constraint_name": ("constraint_name", "n"),
}
"""The error fields about the schema, in the same form. A procedure may put anything into these fields."""
_EMPTIED: Final = {"detail", "hint", "orig"}
"""The attributes that str() of an error needs. In a copy they are None."""
_LONGEST_CHAIN: Final = 8


class Stage(Enum):
    """The stage of an operation at which an error was raised."""

    CONNECTING = auto()
    """There was no connection yet, so the server has no row and no parameter to quote."""
    CONNECTED = auto()
    LOST = auto()
    """The connection was lost."""


def clean_cause(error: BaseException, stage: Stage) -> BaseException:
    """Copies the driver's error and the chain of its causes. The copies have the same classes and codes.

    Args:
        error: The error that was raised.
        stage: The stage at which the error was raised.
    """
    original = driver_error(error)
    chain = [original]
    while (cause := chain[-1].__cause__) is not None and len(chain) < _LONGEST_CHAIN:
        chain.append(cause)
    copies = [_copy(each, stage) for each in chain]
    for copied, cause in pairwise(copies):
        copied.__cause__ = cause
        if "orig" in copied.__dict__:  # SQLAlchemy's name for the cause
            copied.__dict__["orig"] = cause
    return copies[0]


def _copy(error: BaseException, stage: Stage) -> BaseException:
    copied = _blank(error)
    hidden = _may_quote(error, stage)
    text = _place(error) if hidden else _first_line(error)
    copied.args = (error.errno, error.strerror) if isinstance(error, OSError) and error.errno is not None else (text,)
    for name in ("sqlstate", "sqlite_errorcode", "sqlite_errorname"):
        value = getattr(error, name, None)
        if value is not None and getattr(copied, name, None) != value:
            with suppress(AttributeError, TypeError):
                setattr(copied, name, value)
    fields = _SERVER if hidden else _SERVER | _NAMES
    if (diag := getattr(error, "diag", None)) is not None:
        # The diagnostics are copied in the form in which psycopg pickles them.
        known = {code: getattr(diag, name, None) for name, code in fields.values()} | {"M": text}
        info = {ord(code): str(value).encode() for code, value in known.items() if value is not None}
        copied.__dict__.update(_info=info, _encoding="utf-8", _pgconn=None)
    elif hasattr(error, "server_source_function"):
        copied.__dict__.update({name: value for name in fields if (value := error.__dict__.get(name)) is not None})
    return copied


def _blank(error: BaseException) -> BaseException:
    """Makes an error of the same class, or of the nearest base class that can be made without arguments."""
    if isinstance(error, UnicodeEncodeError):
        return UnicodeEncodeError(error.encoding, "", 0, 0, error.reason)
    if isinstance(error, UnicodeDecodeError):
        return UnicodeDecodeError(error.encoding, b"", 0, 0, error.reason)
    classes: tuple[Any, ...] = type(error).__mro__
    for class_ in classes:
        with suppress(Exception):
            blank: BaseException = class_.__new__(class_)
            blank.args = ("",)
            blank.__dict__.update(dict.fromkeys(_EMPTIED & error.__dict__.keys()))
            if isinstance(str(blank), str) and isinstance(repr(blank), str):
                return blank
    return Exception()


def _first_line(error: BaseException) -> str:
    return str(error.args[0] if error.args else "").partition("\n")[0]


def _may_quote(error: BaseException, stage: Stage) -> bool:
    code = code_of(error)
    if isinstance(error, OSError):
        return False
    if code is None:
        # libpq's errors about a connection quote nothing. A driver's other errors may quote a parameter.
        of_libpq = hasattr(error, "diag") and any(of.__name__ == "OperationalError" for of in type(error).__mro__)
        return stage is Stage.CONNECTED or not of_libpq
    if stage is Stage.CONNECTING:
        return False
    if hasattr(error, "sqlite_errorname"):
        return code in _SQLITE_QUOTING
    function = source_of(error)
    return code.startswith(_QUOTING_CLASSES) or function is None or function in _RAISED_BY_PROCEDURES


def _place(error: BaseException) -> str:
    """Returns the text to show instead of one that may quote a row: the line at which the error was raised."""
    traceback = error.__traceback__
    if traceback is None:
        return f"{type(error).__name__}; its text may quote a state and is not shown"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    file = PurePath(traceback.tb_frame.f_code.co_filename).name
    place = f"in {file}, line {traceback.tb_lineno}"
    return f"{type(error).__name__} {place}; its text may quote a state and is not shown"
