"""How fast the reaper deletes sessions with items."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Final

from psycopg import sql

from sessionstore import Reaper
from sessionstore.testing.postgres import Database

from ..apart import apart
from ..bench import Bench
from ..contestant import NAMESPACE
from ..contestants.library import Library
from ..figures import rate
from ..report import Table
from ..rows import copy_rows, execute, sessions_in
from .conversations import message, text_of

_ITEMS: Final = 50
"""How many items a session has."""

_MOST_ROUNDS: Final = 3
_BATCH: Final = 5_000

_SESSIONS: Final = sessions_in("sessionstore")
_ITEM_TABLE: Final = sql.Identifier("sessionstore", "items")
_EXPIRED: Final = sql.SQL("now() - interval '1 minute' - random() * interval '1 second'")
_COUNT: Final = sql.SQL("UPDATE {} SET last_position = {}, item_count = {}")
_FILL: Final = sql.SQL(
    """
    INSERT INTO {items} (namespace, session_id, log, position, item, created_at)
    SELECT {namespace}, s.session_id, '', p, {item}::json, now()
    FROM {sessions} AS s CROSS JOIN generate_series(1, {count}) AS p ORDER BY {order}
    """
)
_TOGETHER: Final = "of one session together"
_SCATTERED: Final = "in the order in which they were appended"
_ORDERS: Final = {_TOGETHER: "s.expires_at, p", _SCATTERED: "p, s.expires_at"}
_ONE: Final = "one session"


@dataclass(frozen=True)
class Reaped:
    """One run of the reaper: the rows that it deleted, items counted, in so many seconds."""

    rows: int
    seconds: float


async def table(bench: Bench) -> Table:
    """Reaps sessions of 50 items, and one long session."""
    sizes = bench.options.sizes
    count = max(1, sizes.conversation_rows // (_ITEMS + 1))
    cases = [(layout, count, _ITEMS) for layout in _ORDERS] + [(_ONE, 1, sizes.longest_reaped)]
    rows = []
    for layout, sessions, items in cases:
        bench.console.print(f"conversation: reaping {sessions:,} sessions of {items:,} items")
        with bench.database() as database:
            runs = await apart(measure, database, layout, sessions, items, min(bench.options.rounds, _MOST_ROUNDS))
        speed = median(run.rows / run.seconds for run in runs)
        rows.append([layout, f"{sessions:,}", f"{items:,}", rate(speed), f"{median(run.seconds for run in runs):.2f}"])
    columns = ["items lie", "sessions", "items each", "rows/s, items counted", "seconds"]
    return Table("the reaper", columns, rows, words=frozenset({"items lie"}))


async def measure(database: Database, layout: str, sessions: int, items: int, rounds: int) -> list[Reaped]:
    """Fills and reaps, round by round."""
    library = Library(database)
    await library.setup()
    runs = []
    for _ in range(rounds):
        copy_rows(database.url, _SESSIONS, sessions, _EXPIRED)
        filling = _FILL.format(
            items=_ITEM_TABLE,
            namespace=sql.Literal(NAMESPACE),
            item=sql.Literal(text_of(message())),
            sessions=_SESSIONS,
            count=sql.Literal(items),
            order=sql.SQL(_ORDERS.get(layout, _ORDERS[_TOGETHER])),
        )
        counting = _COUNT.format(_SESSIONS, sql.Literal(items), sql.Literal(items))
        execute(database.url, counting, filling, "VACUUM (ANALYZE) sessionstore.sessions")
        execute(database.url, "VACUUM (ANALYZE) sessionstore.items", "CHECKPOINT")
        try:
            await library.open()
            report = await Reaper(library.storage, batch_size=_BATCH).run_once()
        finally:
            await library.close()
        [(left,)] = execute(database.url, "SELECT count(*) FROM sessionstore.items")
        if (report.deleted, left) != (sessions, 0):
            raise RuntimeError(f"{report.deleted} of {sessions} sessions were reaped, and {left} items are left")
        runs.append(Reaped(sessions * (items + 1), report.duration.total_seconds()))
        execute(database.url, "VACUUM sessionstore.items", "VACUUM sessionstore.sessions")
    return runs
