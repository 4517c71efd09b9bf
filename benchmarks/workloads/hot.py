"""Whether updates are heap-only (HOT), so that they write no index entry, and what becomes of the expiry's index."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sessionstore.testing.postgres import Database

from ..bench import Bench
from ..contestant import TTL
from ..contestants.library import Library
from ..contestants.raw_psycopg import RawPsycopg
from ..figures import share
from ..report import Section, Table
from ..rows import execute
from ..statements import Sql
from ..states import SessionIds, change

_UPDATES_EACH = 40
# An agent that saves after each step, and one that takes its time. An expiry is moved once it has lost a tenth of the
# TTL, so that how often is a matter of how many updates there are in that time, and of nothing else.
_BETWEEN = (timedelta(seconds=5), timedelta(seconds=30))
_CALLERS = 16
_STATISTICS_SECONDS = 20

# The library's update, but for the expiry.
_MOVING = Sql(
    """
    UPDATE moving.sessions SET state = CAST($1 AS jsonb), version = version + 1, updated_at = $2,
        last_accessed_at = $2, expires_at = $2 + ttl
    WHERE namespace = $3 AND session_id = $4 AND version = $5 AND expires_at > $2
    RETURNING namespace
    """,
    ("state", "now", "namespace", "session_id", "version"),
)


@dataclass(frozen=True)
class Found:
    """What PostgreSQL says about a table."""

    updates: int
    hot: int
    index: int
    table: int

    @classmethod
    def of(cls, database: Database, schema: str) -> Found:
        (row,) = execute(
            database.url,
            f"""
            SELECT n_tup_upd, n_tup_hot_upd,
                pg_relation_size('{schema}.ix_sessions_expires_at'), pg_relation_size(relid)
            FROM pg_stat_user_tables WHERE schemaname = '{schema}' AND relname = 'sessions'
            """,
        )
        return cls(*row)


async def run(bench: Bench) -> Section:
    """The same updates twice: as the library makes them, and with a new expiry each time."""
    updates = bench.options.sizes.hot_updates
    count = max(1, updates // _UPDATES_EACH)
    rows = []
    with bench.database() as database:
        for name, schema, kind, between in (
            ("sessionstore", "sliding", Library, _BETWEEN[0]),
            ("expires_at = now + ttl at every update", "moving", RawPsycopg, _BETWEEN[0]),
            ("sessionstore", "seldom", Library, _BETWEEN[1]),
        ):
            bench.console.print(f"HOT updates: {name}, every {between.total_seconds():.0f} s")
            clock = _Clock()
            contestant = kind(database, schema=schema, clock=clock)
            if isinstance(contestant, RawPsycopg):
                contestant.sql = type(contestant.sql)(contestant.sql.get, _MOVING, contestant.sql.get_locked)
            before, after = await _update(contestant, clock, between, SessionIds(count), updates // count)
            rows.append(
                [
                    name,
                    f"{between.total_seconds():.0f}",
                    _moves(updates // count, between) if kind is Library else "all",
                    f"{after.updates:,}",
                    share(after.hot, after.updates),
                    _kibibytes(before.index),
                    _kibibytes(after.index),
                    _kibibytes(before.table),
                    _kibibytes(after.table),
                ]
            )
    columns = [
        "variant",
        "every s",
        "moves",
        "updates",
        "HOT",
        "index, KiB",
        "index after",
        "table, KiB",
        "table after",
    ]
    minutes = TTL.total_seconds() / 60
    text = (
        f"{updates:,} updates of {count:,} sessions with a TTL of {minutes:.0f} minutes, each session updated every so "
        "many seconds by the clock that the statements are given. The library moves `expires_at` only where it would "
        'come too soon, a tenth of the TTL after the last move; those updates cannot be HOT, and "moves" is their '
        "share. The variant, which is the same statement by hand, sets it each time, and every index gets a new entry "
        "each time. From `pg_stat_user_tables` and `pg_relation_size()`; "
        "autovacuum is as the migration sets it."
    )
    return Section("HOT updates", text, [Table("", columns, rows)])


async def _update(
    contestant: Library | RawPsycopg, clock: _Clock, between: timedelta, sessions: SessionIds, turns: int
) -> tuple[Found, Found]:
    await contestant.setup()
    try:
        await contestant.open()
        await contestant.load(sessions)
        before = Found.of(contestant.database, contestant.schema)

        async def caller(mine: Sequence[str]) -> None:
            for session in mine:
                await contestant.read_modify_write(session, change)

        for _ in range(turns):
            clock.now += between
            await asyncio.gather(*(caller(sessions[number::_CALLERS]) for number in range(_CALLERS)))
    finally:
        await contestant.close()
    return before, await _settled(contestant, len(sessions) * turns)


async def _settled(contestant: Library | RawPsycopg, updates: int) -> Found:
    """The statistics once the connections that were closed have handed in theirs."""
    end = time.monotonic() + _STATISTICS_SECONDS
    while True:
        found = Found.of(contestant.database, contestant.schema)
        if found.updates >= updates or time.monotonic() > end:
            return found
        await asyncio.sleep(0.05)


def _moves(turns: int, between: timedelta) -> str:
    # Due is what is below now + ttl, so that at a tenth of the TTL to the second it is not.
    turns_a_move = TTL // 10 // between + 1
    return share(turns // turns_a_move, turns)


class _Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def _kibibytes(size: int) -> str:
    return f"{size / 1024:,.0f}"
