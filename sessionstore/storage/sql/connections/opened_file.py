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
            StorageError: The file is gone. Or the log of the old file lies beside the new file, and SQLite would apply
                this log to the new file.
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
                    f"the SQLite file {str(file)!r} is gone, and nothing was written; put the file back, or make a new "
                    "one with `sessionstore migrate upgrade`"
                )
            if self._opened not in (None, identity):
                await replace()
                if self._log is not None and _identity_of(_log_of(file)) == self._log:
                    raise StorageError(
                        f"the SQLite file {str(file)!r} was replaced, but the log of the old file still lies beside "
                        "it, and nothing was written; remove the files that end in -wal and -shm, or put the old file "
                        "back"
                    )
            self._opened = identity


def _identity_of(file: Path) -> object:
    """Returns the device and inode of a file; None: there is no file."""
    try:
        found = os.stat(file)  # noqa: PTH116  # a call of some microseconds
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _log_of(file: Path) -> Path:
    """Returns the path of the write-ahead log of a file."""
    return Path(f"{file}-wal")
