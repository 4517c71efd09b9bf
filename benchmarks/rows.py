"""Rows by the million, by COPY, straight into a table of the library."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg
from psycopg import sql

from .contestant import NAMESPACE, TTL
from .server import libpq_url
from .states import SessionIds, make_state

# Enough different states that compression has to work, and few enough that Python has not.
_STATES = 64
_LINES = 500


def copy_rows(
    url: str, table: sql.Composable, count: int, expires_in: Callable[[int], timedelta] | None = None
) -> None:
    """Copies sessions into an empty table; they are SessionIds(count).

    Args:
        url: The database.
        table: Which table.
        count: How many.
        expires_in: When the session of a number expires, from now; None: as if each had just been accessed.
    """
    now = datetime.now(UTC)
    states = [orjson.dumps(make_state(str(number))).decode() for number in range(_STATES)]
    ids = SessionIds(count)
    ttl = f"{TTL.total_seconds()} seconds"
    fresh = (now + 1.1 * TTL).isoformat()
    columns = "namespace, session_id, state, version, ttl, created_at, updated_at, last_accessed_at, expires_at"
    copying = sql.SQL("COPY {} ({}) FROM STDIN").format(table, sql.SQL(columns))
    with psycopg.connect(libpq_url(url)) as connection, connection.cursor().copy(copying) as copy:
        lines = []
        for number in range(count):
            expires_at = fresh if expires_in is None else (now + expires_in(number)).isoformat()
            state = states[number % _STATES]
            # No tab, newline or backslash is in any of these, so that they need no escapes.
            lines.append(f"{NAMESPACE}\t{ids[number]}\t{state}\t1\t{ttl}\t{now}\t{now}\t{now}\t{expires_at}\n")
            if len(lines) == _LINES:
                copy.write("".join(lines))
                lines.clear()
        copy.write("".join(lines))


def execute(url: str, *statements: str | sql.SQL | sql.Composed) -> list[tuple[Any, ...]]:
    """Runs statements, each on its own, and returns the rows of the last one."""
    rows: list[tuple[Any, ...]] = []
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode() if isinstance(statement, str) else statement)
            rows = cursor.fetchall() if cursor.description else []
    return rows


def sessions_in(schema: str) -> sql.Identifier:
    """The table of the library in a schema."""
    return sql.Identifier(schema, "sessions")
