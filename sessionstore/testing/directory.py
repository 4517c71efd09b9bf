"""A temporary directory that Unix sockets and a database server of another user can live in."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

# A Unix socket's path has at most 107 bytes, of which "/data/.s.PGSQL.5432" and the random name take some 35.
_LONGEST_DIRECTORY = 70


@contextmanager
def short_directory() -> Generator[Path, None, None]:
    """A temporary directory that fits into a socket's path and that the server's own user can enter."""
    parents = [Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108  # mkdtemp() makes it safe
    parent = next((p for p in parents if len(str(p)) <= _LONGEST_DIRECTORY and _anyone_may_enter(p)), parents[-1])
    directory = Path(tempfile.mkdtemp(prefix="ss-", dir=parent))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _anyone_may_enter(directory: Path) -> bool:
    """Only root's server runs as another user; anybody else's server enters what they enter."""
    if os.geteuid() != 0:
        return os.access(directory, os.W_OK | os.X_OK)
    return all(path.stat().st_mode & stat.S_IXOTH for path in (directory, *directory.parents))
