"""See sessionstore/testing/sqlite.py."""

from __future__ import annotations

from sessionstore.testing.sqlite import copied_file, migrated_file, sqlite_url

__all__ = ["copied_file", "migrated_file", "sqlite_url"]
