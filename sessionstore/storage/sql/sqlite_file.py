"""The reason why SQLite could not open or write its file, which SQLite's own error does not tell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from sqlalchemy import URL

from .urls.sqlite import file_of

_OF_THE_FILE: Final = (
    "SQLITE_AUTH",
    "SQLITE_CANTOPEN",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_NOTADB",
    "SQLITE_PERM",
    "SQLITE_READONLY",
)
_HEADER: Final = b"SQLite format 3\0"


def trouble_with(url: URL, code: str | None) -> str | None:
    """Returns a message that says what is wrong with a SQLite file and what to do; None: nothing was found.

    Args:
        url: The URL of the file.
        code: The name of SQLite's error.
    """
    file = file_of(url)
    if code is None or not code.startswith(_OF_THE_FILE):
        return None
    if code.startswith("SQLITE_FULL"):
        return f"there is no room left on the disk of the SQLite file {str(file)!r}; make room, then try again"
    if code.startswith("SQLITE_READONLY") and (url.query.get("mode") == "ro" or url.query.get("immutable")):
        return "the storage URL opens the SQLite file to be read only; leave out mode=ro and immutable"
    try:
        return _trouble(file)
    except OSError:
        return f"this user may not access the SQLite file {str(file)!r}; let the user enter its directory"


def _trouble(file: Path) -> str | None:
    directory = file.parent
    if not os.path.isdir(directory):  # noqa: PTH112  # Path.is_dir() raises without permission
        return _no_directory(directory)
    if file.is_dir():
        return f"{str(file)!r} is a directory, and the storage URL has to name a file"
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        return f"this user may not read and write the SQLite file {str(file)!r}; change the rights of the file"
    if not os.access(directory, os.W_OK | os.X_OK):
        return (
            f"this user may not write in {str(directory)!r}, where SQLite creates its file and a log beside the file; "
            "change the rights of the directory"
        )
    return None if _is_database(file) else f"the file {str(file)!r} is no SQLite database; correct the storage URL"


def _is_database(file: Path) -> bool:
    if not file.is_file():
        return True
    with file.open("rb") as opened:
        return opened.read(len(_HEADER)) in (b"", _HEADER)


def _no_directory(directory: Path) -> str:
    missing = next((path for path in (*reversed(directory.parents), directory) if not os.path.isdir(path)), directory)  # noqa: PTH112
    if os.path.exists(missing):  # noqa: PTH110
        return f"{str(missing)!r} in the path of the SQLite file is no directory; correct the storage URL"
    return (
        f"the directory {str(missing)!r} of the SQLite file does not exist, or this user may not see it; make it, or "
        "correct the storage URL"
    )
