"""The cause of a StorageError: a copy of the driver's error that cannot quote a row and holds no connection.

The server quotes a refused row in the details of its error, a trigger may put one into the message, and Python's own
errors keep what they failed on: ``UnicodeEncodeError.object`` is a whole parameter. Tracebacks hold the frames, and the
frames hold the parameters and the connection.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum, auto
from itertools import pairwise
from pathlib import PurePath
from typing import Any, Final

from .faults import code_of, driver_error, source_of

_QUOTING_CLASSES: Final = ("22", "38", "39", "HV", "P0")
"""Data exceptions, which name the value, and errors of functions, which may say anything."""
_RAISED_BY_HAND: Final = ("exec_stmt_raise", "PLy_elog_impl", "plperl_util_elog")
"""Functions of the server that raise what a procedure says, under a code that the procedure chooses."""
_SQLITE_QUOTING: Final = ("SQLITE_CONSTRAINT_TRIGGER",)

_SERVER: Final = {
    "severity": ("severity", "S"),
    "severity_en": ("severity_nonlocalized", "V"),
    "sqlstate": ("sqlstate", "C"),
    "server_source_filename": ("source_file", "F"),
    "server_source_line": ("source_line", "L"),
    "server_source_function": ("source_function", "R"),
}
"""What an error says of the server: attributes of asyncpg's errors, those of psycopg's diagnostics, and the protocol's
codes of the fields."""
_NAMES: Final = {
    "schema_name": ("schema_name", "s"),
    "table_name": ("table_name", "t"),
    "column_name": ("column_name", "c"),
    "data_type_name": ("datatype_name", "d"),
    "constraint_name": ("constraint_name", "n"),
}
"""The same for what it says of the schema. A procedure that raises an error may put anything there."""
_EMPTIED: Final = {"detail", "hint", "orig"}
"""Attributes that the text of an error is made of, and that must be there."""
_LONGEST_CHAIN: Final = 8


class Stage(Enum):
    """How far an operation had come."""

    CONNECTING = auto()
    """There was no connection, and so no row and no parameter that the server could quote."""
    CONNECTED = auto()
    LOST = auto()
    """The connection was gone afterwards."""


def clean_cause(error: BaseException, stage: Stage) -> BaseException:
    """A copy of the driver's error, of the same class and code, and of the errors that it came from.

    Args:
        error: What was raised.
        stage: How far the operation had come.
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
        # As psycopg pickles its diagnostics.
        told = {code: getattr(diag, name, None) for name, code in fields.values()} | {"M": text}
        info = {ord(code): str(value).encode() for code, value in told.items() if value is not None}
        copied.__dict__.update(_info=info, _encoding="utf-8", _pgconn=None)
    elif hasattr(error, "server_source_function"):
        copied.__dict__.update({name: value for name in fields if (value := error.__dict__.get(name)) is not None})
    return copied


def _blank(error: BaseException) -> BaseException:
    """A new error of the same class, or of the nearest class above that can be made without arguments."""
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
        # What libpq says of a connection. Of others, drivers quote the parameter that they cannot send.
        of_libpq = hasattr(error, "diag") and any(of.__name__ == "OperationalError" for of in type(error).__mro__)
        return stage is Stage.CONNECTED or not of_libpq
    if stage is Stage.CONNECTING:
        return False
    if hasattr(error, "sqlite_errorname"):
        return code in _SQLITE_QUOTING
    function = source_of(error)
    return code.startswith(_QUOTING_CLASSES) or function is None or function in _RAISED_BY_HAND


def _place(error: BaseException) -> str:
    """What to say instead of a text that may quote a row: where the error was raised."""
    traceback = error.__traceback__
    if traceback is None:
        return f"{type(error).__name__}; its text may quote a state and is not shown"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    file = PurePath(traceback.tb_frame.f_code.co_filename).name
    place = f"in {file}, line {traceback.tb_lineno}"
    return f"{type(error).__name__} {place}; its text may quote a state and is not shown"
