"""What callers notice of upgrades and downgrades on a large table."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from sessionstore import migrate
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database

from ..bench import Bench
from ..contestant import NAMESPACE
from ..report import Section, Table
from ..rows import copy_rows, execute
from ..server import libpq_url
from ..states import SessionIds

_CALLERS = 16
_HELD_SECONDS = 5.0

# As a program writes and reads that knows only the first revision.
_UPDATE = """
    UPDATE sessionstore.sessions SET version = version + 1, updated_at = now(), last_accessed_at = now()
    WHERE namespace = %s AND session_id = %s
"""
_READ = "SELECT state::text, version FROM sessionstore.sessions WHERE namespace = %s AND session_id = %s"
_WAITING = """
    SELECT pid FROM pg_stat_activity WHERE application_name = 'sessionstore migrate' AND wait_event_type = 'Lock'
"""


@dataclass
class _Calls:
    """The calls since the last look: how long each took, and how many failed."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def taken(self) -> tuple[str, str, str]:
        """How many, how many failed, and the milliseconds of the longest; forgets them."""
        found = f"{len(self.seconds):,}", str(self.failed), f"{max(self.seconds, default=0) * 1000:,.0f}"
        self.seconds, self.failed = [], 0
        return found


async def run(bench: Bench) -> Section:
    """Upgrades and downgrades beside callers, at last behind a transaction that reads the table for seconds."""
    count = bench.options.sizes.large_rows
    first, last = REVISIONS[0], REVISIONS[-1]
    held = f"upgrade behind a transaction that reads for {_HELD_SECONDS:.0f} s"
    rows = []
    with bench.database() as database:
        await asyncio.to_thread(migrate.upgrade, database.url, revision=first)
        bench.console.print(f"migration: {count:,} rows")
        await asyncio.to_thread(copy_rows, database.url, sql.Identifier("sessionstore", "sessions"), count)
        async with _called(database, count) as calls:
            for name, command, revision in (
                ("none", "current", ""),
                ("upgrade", "upgrade", last),
                ("downgrade", "downgrade", first),
                (held, "upgrade", last),
            ):
                bench.console.print(f"migration: {name}")
                calls.taken()
                reader = asyncio.create_task(_read(database, _HELD_SECONDS if name == held else 0))
                began = time.monotonic()
                await _migrate(database, command, revision)
                seconds = time.monotonic() - began
                await reader
                rows.append([name, f"{seconds:.1f}", *calls.taken()])
    text = (
        f"{_CALLERS} callers of plain SQL update and read sessions of {count:,}, while `sessionstore migrate` goes "
        f"from revision {first} to {last} and back in a process beside them. A migration waits for a table for 2 s at "
        "most before it lets the callers pass and tries again. The time is that of the process, with its start."
    )
    columns = ["migration", "s", "calls", "failed", "longest call, ms"]
    return Section("Migration", text, [Table("", columns, rows)])


@asynccontextmanager
async def _called(database: Database, count: int) -> AsyncIterator[_Calls]:
    """Callers that go on until the end of the block."""
    calls = _Calls()
    sessions = SessionIds(count)
    over = asyncio.Event()

    async def caller(connection: psycopg.AsyncConnection) -> None:
        while not over.is_set():
            session = sessions[random.randrange(count)]  # noqa: S311  # no secret
            for statement in (_READ, _UPDATE):
                began = time.monotonic()
                try:
                    await connection.execute(statement, (NAMESPACE, session))
                except psycopg.Error:
                    calls.failed += 1
                calls.seconds.append(time.monotonic() - began)

    async with AsyncExitStack() as stack:
        url = libpq_url(database.url)
        connections = [
            await stack.enter_async_context(await psycopg.AsyncConnection.connect(url, autocommit=True))
            for _ in range(_CALLERS)
        ]
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(caller(connection))
            try:
                yield calls
            finally:
                over.set()


async def _read(database: Database, seconds: float) -> None:
    """A transaction that has read the table, and goes on for so long after the migration began to wait for it."""
    async with await psycopg.AsyncConnection.connect(libpq_url(database.url)) as connection:
        if seconds:
            await connection.execute("SELECT FROM sessionstore.sessions LIMIT 1")
            await asyncio.to_thread(_until_waiting, database)
            await asyncio.sleep(seconds)


def _until_waiting(database: Database) -> None:
    while not execute(database.url, _WAITING):
        time.sleep(0.02)


async def _migrate(database: Database, command: str, revision: str) -> None:
    arguments = ("-m", "sessionstore", "migrate", command, *filter(None, [revision]), "--database-url", database.url)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL)
    if await process.wait():
        raise RuntimeError(f"sessionstore migrate {command} failed")
