"""Sessions as a program writes them that knows only the first revision, by SQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from sessionstore.testing.postgres import Database

from ..support.bystander import ask

_COLUMNS = (
    "namespace, session_id, state, origin, owner_id, version, writes, keys, ttl, created_at, updated_at, "
    "last_accessed_at, expires_at, deadline"
)
_READ = f"SELECT {_COLUMNS} FROM {{s}}sessions ORDER BY namespace, session_id"
_COUNT = 5

NAMESPACE = "chat"
"""Of the sessions."""
_POSTGRESQL = f"""
    INSERT INTO sessionstore.sessions ({_COLUMNS})
    SELECT 'chat', 's' || n, jsonb_build_object('n', n), '{{"by": "web"}}', 'u' || n, n, '', '',
        make_interval(mins => n), '2026-01-01', '2026-01-02', '2026-01-03', '2100-01-01', NULL
    FROM generate_series(1, {_COUNT}) AS n
"""
_SQLITE = f"""
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {_COUNT})
    INSERT INTO sessions ({_COLUMNS})
    SELECT 'chat', 's' || n, json_object('n', n), '{{"by": "web"}}', 'u' || n, n, '', '',
        n * 60000000, 1, 2, 3, 4102444800000000 + n, NULL
    FROM numbers
"""


def fill_table(url: str) -> None:
    """Inserts a few sessions."""
    _run(url, _SQLITE if url.startswith("sqlite") else _POSTGRESQL)


def rows_of(url: str) -> list[tuple[Any, ...]]:
    """All sessions, with the columns of the first revision."""
    return _run(url, _READ.format(s=_prefix(url)))


def revision_of(url: str) -> str:
    """The revision that the table of versions names; "base": none."""
    rows = _run(url, f"SELECT version_num FROM {_prefix(url)}sessionstore_version")
    return str(rows[0][0]) if rows else "base"


def file_of(url: str) -> Path:
    """The SQLite file of a URL."""
    return Path(str(make_url(url).database))


def _prefix(url: str) -> str:
    return "" if url.startswith("sqlite") else "sessionstore."


def _run(url: str, statement: str) -> list[tuple[Any, ...]]:
    if not url.startswith("sqlite"):
        return ask(Database(url), statement)
    with closing(sqlite3.connect(file_of(url), isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()
