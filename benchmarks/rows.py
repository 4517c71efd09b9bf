"""Rows by the million, by COPY, straight into a table of the library."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from psycopg import sql

from .contestant import NAMESPACE, TTL
from .server import libpq_url
from .states import SessionIds, make_state

# Enough different states that compression has to work, and few enough to be made in no time.
_STATES = 64

_COLUMNS = "namespace, session_id, state, version, ttl, created_at, updated_at, last_accessed_at, expires_at"
_FRESH = sql.SQL("now() + 1.1 * ttl")


def copy_rows(url: str, table: sql.Composable, count: int, expires_at: sql.Composable = _FRESH) -> None:
    """Copies sessions into an empty table; they are SessionIds(count).

    Some are sent by COPY, and multiplied in the server: a client that makes ten million of them needs as many minutes.

    Args:
        url: The database.
        table: Which table.
        count: How many.
        expires_at: Of the session with the number ``n``; without it, as if each had just been accessed.
    """
    now = datetime.now(UTC)
    ttl = f"{TTL.total_seconds()} seconds"
    columns = sql.SQL(_COLUMNS)
    patterns = sql.Identifier("patterns")
    # Like the table itself, so that states are compressed once, and as it would have them.
    like = sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING COMPRESSION INCLUDING DEFAULTS)").format(
        patterns, table
    )
    copying = sql.SQL("COPY {} ({}) FROM STDIN").format(patterns, columns)
    multiplying = sql.SQL(
        """
        INSERT INTO {table} ({columns})
        SELECT namespace, ({first} + n)::text, state, version, ttl, created_at, updated_at, last_accessed_at,
            {expires_at}
        FROM generate_series(0, {last}) AS n JOIN {patterns} ON session_id = (n % {states})::text
        """
    ).format(
        table=table,
        columns=columns,
        first=sql.Literal(SessionIds(count).first),
        expires_at=expires_at,
        last=sql.Literal(count - 1),
        patterns=patterns,
        states=sql.Literal(_STATES),
    )
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute(like)
        with connection.cursor().copy(copying) as copy:
            for number in range(_STATES):
                state = orjson.dumps(make_state(str(number))).decode()
                # No tab, newline or backslash is in any of these, so that they need no escapes.
                copy.write(f"{NAMESPACE}\t{number}\t{state}\t1\t{ttl}\t{now}\t{now}\t{now}\t{now}\n")
        connection.execute("SET LOCAL enable_mergejoin = off")  # which would sort all of them
        connection.execute(multiplying)


def execute(url: str, *statements: str | sql.SQL | sql.Composed) -> list[tuple[Any, ...]]:
    """Runs statements, each on its own, and returns the rows of the last one."""
    rows: list[tuple[Any, ...]] = []
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode() if isinstance(statement, str) else statement)
            rows = cursor.fetchall() if cursor.description else []
    return rows


def counted(url: str) -> int:
    """The sum of the counters of all sessions."""
    [(total,)] = execute(url, _COUNT)
    return int(total)


def sessions_in(schema: str) -> sql.Identifier:
    """The table of the library in a schema."""
    return sql.Identifier(schema, "sessions")


_COUNT = sql.SQL("SELECT coalesce(sum((state ->> 'n')::int), 0) FROM {}").format(sessions_in("sessionstore"))
