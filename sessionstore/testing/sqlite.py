"""SQLite files with the tables in them: migrated once, then copied, since a copy is faster than a migration."""

from __future__ import annotations

import shutil
from pathlib import Path

from sessionstore import migrate


def sqlite_url(path: Path) -> str:
    """The URL of a file."""
    return f"sqlite+aiosqlite:///{path}"


def migrated_file(path: Path, *, revision: str = migrate.HEAD) -> Path:
    """Makes the template."""
    migrate.upgrade(sqlite_url(path), revision=revision)
    # What is still in a write-ahead log would not come along with the copy.
    assert not path.with_name(f"{path.name}-wal").exists(), "the migration left its connection open"
    return path


def copied_file(template: Path, path: Path) -> Path:
    """Makes one test's own file."""
    shutil.copyfile(template, path)
    return path
