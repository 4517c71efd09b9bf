"""The locks in PostgreSQL that a migration waits for, and their holders: other migrations, or users of the tables."""

from __future__ import annotations

import hashlib
import time
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError

from ..storage.sql.faults import DEADLOCK, LOCK_NOT_AVAILABLE, code_of, driver_error
from .waits import LONGEST, LockWait, shown

LONGEST_TURN: Final = 10.0
"""Seconds of one wait for another migration. After each wait the migration logs what it waits for."""

TABLE_TURN: Final = 2.0
"""Seconds for which one transaction of a migration waits for tables. All other users of a table queue behind the
migration, so the waits are short. They are longer than PostgreSQL's deadlock_timeout (1 s), after which a waiting
transaction ends an autovacuum."""

_SHORTEST_WAIT: Final = 50
"""Milliseconds of the shortest wait, for a transaction whose earlier waits have used up its time."""

_AGAIN: Final = frozenset({LOCK_NOT_AVAILABLE, DEADLOCK})

# Lists the oldest transactions first, because the others wait for these. Leaves out the texts of statements, which may
# quote data. Only members of pg_read_all_stats see the times of other roles.
_HOLDERS: Final = """
    SELECT DISTINCT locks.pid, activity.usename, activity.application_name, activity.backend_type,
        extract(epoch FROM statement_timestamp() - coalesce(activity.xact_start, activity.backend_start))
    FROM pg_catalog.pg_locks AS locks
    LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = locks.pid
    {joined}
    WHERE locks.granted AND locks.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
    AND locks.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    AND {wanted}
    ORDER BY 5 DESC NULLS LAST, 1 LIMIT 4
"""
_MIGRATION: Final = _HOLDERS.format(
    joined="",
    wanted="locks.locktype = 'advisory' AND locks.objsubid = 1 "
    "AND locks.classid::pg_catalog.int8 = :high AND locks.objid::pg_catalog.int8 = :low",
)
_USERS: Final = _HOLDERS.format(
    joined="""
    JOIN pg_catalog.pg_class AS relation ON relation.oid = locks.relation
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
    """,
    wanted="namespace.nspname = :schema",
)


def begin_alone(connection: Connection, schema: str, lock_wait: LockWait) -> None:
    """Waits until no other migration of the schema runs, and takes the migration lock until the connection is closed.

    Raises:
        DBAPIError: The lock was not free in time (LOCK_NOT_AVAILABLE).
    """
    key = key_of(schema)
    while True:
        with connection.begin():
            if connection.scalar(text("SELECT pg_catalog.pg_try_advisory_lock(:key)"), {"key": key}):
                return
            lock_wait.report(f"another migration of schema {schema!r}: {_migrating(connection, schema)}")
        try:
            with connection.begin():
                connection.execute(text(f"SET LOCAL lock_timeout = {lock_wait.turn(LONGEST_TURN)}"))
                # lock_timeout limits the wait. A statement_timeout of the role must not end it earlier.
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                # The lock belongs to the connection and not to a transaction, because CONCURRENTLY commits in between.
                connection.execute(text("SELECT pg_catalog.pg_advisory_lock(:key)"), {"key": key})
                return
        except DBAPIError as error:
            if code_of(driver_error(error)) != LOCK_NOT_AVAILABLE or lock_wait.over:
                raise


def limit_waits(connection: Connection, lock_wait: LockWait) -> None:
    """Limits how long each transaction on the connection waits for tables, to TABLE_TURN for all its tables together.

    The transaction keeps the locks that it has while it waits for the next one. With a limit for each wait, users of
    the first table would wait for the sum of the waits. A CONCURRENTLY statement blocks nobody while it waits for
    transactions to end, so it may wait for as long as the migration has time, and no statement_timeout ends it.
    """
    ends = 0.0
    longest = shortest = set_to = 0
    unlimited = False

    def began(_: Connection) -> None:
        nonlocal ends, longest, shortest, set_to
        longest = lock_wait.share(TABLE_TURN)
        shortest = min(_SHORTEST_WAIT, longest)
        ends = time.monotonic() + longest / 1000
        set_to = 0

    def limit(_: Connection, cursor: Any, statement: str, *__: object) -> None:
        nonlocal set_to, unlimited
        if " CONCURRENTLY " in statement:
            cursor.execute(f"SET lock_timeout = {lock_wait.share(LONGEST.total_seconds())}")
            cursor.execute("SET statement_timeout = 0")
            unlimited = True
            return
        if unlimited:
            cursor.execute("RESET statement_timeout")
            unlimited, set_to = False, 0
        left = max(shortest, int(1000 * (ends - time.monotonic())))
        if set_to == 0 or set_to - left >= _SHORTEST_WAIT:
            cursor.execute(f"SET lock_timeout = {left}")
            set_to = left

    event.listen(connection, "begin", began)
    event.listen(connection, "before_cursor_execute", limit)


def may_go_again(code: str | None) -> bool:
    """Whether a migration that failed with this code was rolled back because of locks, and may be tried again."""
    return code in _AGAIN


def holders(connection: Connection, schema: str) -> str:
    """Describes the processes that migrate the schema or, if there are none, the processes that use its tables."""
    with connection.begin():
        return holders_here(connection, schema)


def holders_here(connection: Connection, schema: str) -> str:
    """Like holders(), but in the transaction of the caller."""
    return (
        _migrating(connection, schema, "")
        or _described(connection, _USERS, schema=schema)
        or "a process that has released the lock since"
    )


def _migrating(connection: Connection, schema: str, nobody: str = "it has just ended") -> str:
    high, low = divmod(key_of(schema) % 2**64, 2**32)
    return _described(connection, _MIGRATION, high=high, low=low) or nobody


def _described(connection: Connection, query: str, **parameters: Any) -> str:
    return ", ".join(_who(*row) for row in connection.execute(text(query), parameters))


def _who(pid: int | None, role: str | None, application: str | None, kind: str | None, seconds: float | None) -> str:
    if pid is None:
        return "a prepared transaction (see pg_prepared_xacts)"
    since = "" if seconds is None else f", which began {shown(timedelta(seconds=int(seconds)))} ago"
    if kind == "autovacuum worker":
        return f"process {pid}, an autovacuum{since}"
    return f"process {pid} of role {role!r}, application {application or ''!r}{since}"


def key_of(schema: str) -> int:
    """Returns the key of the schema's advisory lock: a hash, so that no other program uses the same key by chance."""
    digest = hashlib.blake2b(schema.encode(), digest_size=8, person=b"sessionstore").digest()
    return int.from_bytes(digest, signed=True)
