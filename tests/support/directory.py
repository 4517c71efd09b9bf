"""See sessionstore/testing/directory.py."""

from __future__ import annotations

from sessionstore.testing.directory import short_directory

__all__ = ["short_directory"]
