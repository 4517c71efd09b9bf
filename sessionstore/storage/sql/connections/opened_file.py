"""Which file SQLite has open, and whether another file was put in its place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from ....errors import StorageError


class OpenedFile:
    """Follows the SQLite file that the connections have open.

    Args:
        file: The path of the database.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._opened: object = None
        self._log: object = None
        self._following = asyncio.Lock()

    async def check(self, replace: Callable[[], Awaitable[None]]) -> None:
        """Replaces all connections if another file lies at the path of the file that they have open.

        Args:
            replace: Closes all connections. No call takes one meanwhile.

        Raises:
            StorageError: The file is gone, or the log of the old one lies beside the new one, which SQLite would apply.
        """
        file = self._file
        if self._opened is not None and (identity := _identity_of(file)) == self._opened:
            self._log = _identity_of(_log_of(file))
            return
        async with self._following:
            identity = _identity_of(file)
            if identity is None:
                if self._opened is None:
                    return  # the file was never there, and SQLite raises its own error
                raise StorageError(
                    f"the SQLite file {str(file)!r} is gone, and nothing was written; put it back, or make another "
                    "one with `sessionstore migrate upgrade`"
                )
            if self._opened not in (None, identity):
                await replace()
                if self._log is not None and _identity_of(_log_of(file)) == self._log:
                    raise StorageError(
                        f"the SQLite file {str(file)!r} was replaced, and the log of the old one still lies beside it; "
                        "nothing was written; remove the files that end in -wal and -shm, or put the old one back"
                    )
            self._opened = identity


def _identity_of(file: Path) -> object:
    """The device and inode of a file. None: there is no file."""
    try:
        found = os.stat(file)  # noqa: PTH116  # a call of some microseconds
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _log_of(file: Path) -> Path:
    """The write-ahead log beside a file."""
    return Path(f"{file}-wal")
