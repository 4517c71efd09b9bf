"""Sessions in PostgreSQL and SQLite."""

from __future__ import annotations

from .provider import SqlStorageProvider

open_sql = SqlStorageProvider.from_url

__all__ = ["SqlStorageProvider", "open_sql"]
