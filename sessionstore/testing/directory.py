"""A temporary directory for Unix sockets and for the data of a database server that runs as another user."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

# The path of a Unix socket has at most 107 bytes. "/data/.s.PGSQL.5432" and the random name take about 35.
_LONGEST_DIRECTORY = 70

# Linux keeps the files of this directory in memory. In a container it often holds 64 MB only.
_IN_MEMORY = Path("/dev/shm")  # noqa: S108  # mkdtemp() makes it safe
_ENOUGH_MEMORY = 2 * 1024**3


@contextmanager
def short_directory(*, in_memory: bool = False) -> Generator[Path, None, None]:
    """Makes a temporary directory whose path is short enough for sockets and which the server's user can enter.

    Args:
        in_memory: Take a file system in memory, if this machine has one with 2 GiB left. Tests create and remove
            thousands of small files in a database server, and ext4 without a journal searches long for the inode of
            a new file after that.
    """
    parents = [Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108  # mkdtemp() makes it safe
    if in_memory and _has_room(_IN_MEMORY):
        parents.insert(0, _IN_MEMORY)
    parent = next((p for p in parents if len(str(p)) <= _LONGEST_DIRECTORY and _anyone_may_enter(p)), parents[-1])
    directory = Path(tempfile.mkdtemp(prefix="ss-", dir=parent))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _has_room(directory: Path) -> bool:
    """Whether new files fit there. Another system has no such directory, and some containers let nobody write to it."""
    if not os.access(directory, os.W_OK | os.X_OK):
        return False
    return shutil.disk_usage(directory).free >= _ENOUGH_MEMORY


def _anyone_may_enter(directory: Path) -> bool:
    """Returns whether the server's user can enter the directory. Only the server of root runs as another user."""
    if os.geteuid() != 0:
        return os.access(directory, os.W_OK | os.X_OK)
    return all(path.stat().st_mode & stat.S_IXOTH for path in (directory, *directory.parents))
