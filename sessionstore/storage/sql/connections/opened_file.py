"""Which file SQLite has open, whatever lies at its path now."""

from __future__ import annotations

import os
from pathlib import Path


def identity_of(file: Path) -> object:
    """Which file it is, whatever its name; None: it is not there."""
    try:
        found = os.stat(file)  # noqa: PTH116  # a call of some microseconds
    except OSError:
        return None
    return found.st_dev, found.st_ino


def log_of(file: Path) -> Path:
    """The write-ahead log beside a file."""
    return Path(f"{file}-wal")
