"""Migrated SQLite files for tests. One file is migrated and then copied, because a copy is faster than a migration."""

from __future__ import annotations

import shutil
from pathlib import Path

from sessionstore import migrate


def sqlite_url(path: Path) -> str:
    """Returns the URL of a file."""
    return f"sqlite+aiosqlite:///{path}"


def migrated_file(path: Path, *, revision: str = migrate.HEAD) -> Path:
    """Makes the migrated file that tests copy."""
    migrate.upgrade(sqlite_url(path), revision=revision)
    # The copy would miss the content of a write-ahead log.
    assert not path.with_name(f"{path.name}-wal").exists(), "the migration left its connection open"
    return path


def copied_file(template: Path, path: Path) -> Path:
    """Copies the template to a test's own file."""
    shutil.copyfile(template, path)
    return path
