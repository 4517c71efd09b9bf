"""What is wrong with a file that SQLite could not open or write: SQLite itself says little more than that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_HEADER: Final = b"SQLite format 3\0"


def trouble_with(file: Path) -> str | None:
    """What is wrong and what to do, for a message; None where nothing can be seen."""
    directory = file.parent
    if not os.path.isdir(directory):  # noqa: PTH112  # where nobody may look, Path raises
        return _no_directory(directory)
    if file.is_dir():
        return f"{str(file)!r} is a directory, and the storage URL has to name a file"
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        return f"this user may not read and write the SQLite file {str(file)!r}; give it the right to"
    if not os.access(directory, os.W_OK | os.X_OK):
        return (
            f"this user may not write in {str(directory)!r}, where SQLite makes its file and, beside it, a log; "
            "give it the right to"
        )
    return None if _is_database(file) else f"the file {str(file)!r} is no SQLite database"


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
