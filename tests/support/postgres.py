"""See sessionstore/testing/postgres.py."""

from __future__ import annotations

from sessionstore.testing.postgres import (
    URL_VARIABLE,
    Database,
    PostgresServer,
    asyncpg_url,
    dsn,
    embedded_server,
    placeless,
    postgres_server,
)

__all__ = [
    "URL_VARIABLE",
    "Database",
    "PostgresServer",
    "asyncpg_url",
    "dsn",
    "embedded_server",
    "placeless",
    "postgres_server",
]
