"""One session's newest items among very many: python -m benchmarks.deep [--items N] [--length ITEMS_OF_A_SESSION].

It fills a server of its own, reads the newest items of random sessions with a warm cache, and then with an empty one:
the server is stopped, the operating system is told to forget its files, and each session is read once. It also appends,
reaps, and vacuums. The report is Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

from sessionstore import Reaper, SessionManager, migrate, open_storage
from tests.faults.server import Cluster, clusters

from .rows import execute

_NAMESPACE: Final = "deep"
_WINDOW: Final = 50
_READS: Final = 200
_REAPED: Final = 1000
_BUFFERS: Final = "512MB"
_SESSIONS: Final = """
    INSERT INTO sessionstore.sessions (namespace, session_id, state, version, ttl, created_at, updated_at,
        last_accessed_at, expires_at, last_position, item_count)
    SELECT '{namespace}', 's' || n, '{{"n": 1}}', 1, '1 day', now(), now(),
        now(), now() + interval '1 day', {length}, {length}
    FROM generate_series(1, {sessions}) AS n
"""
# A turn after the other, as it happens: the items of a session lie far apart.
_ITEMS: Final = """
    INSERT INTO sessionstore.items (namespace, session_id, log, position, item, created_at)
    SELECT '{namespace}', 's' || n, '', {position},
        json_build_object('role', 'user', 'content', repeat(md5(n::text || '{position}'), 8)), now()
    FROM generate_series(1, {sessions}) AS n
"""
_EXPIRE: Final = f"""
    UPDATE sessionstore.sessions SET expires_at = now() - interval '1 h'
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM sessionstore.sessions LIMIT {_REAPED}))
"""


class Deep:
    """The table, and what is measured on it."""

    def __init__(self, cluster: Cluster, items: int, length: int) -> None:
        self._cluster = cluster
        self._length = length
        self._sessions = items // length
        self._rows: list[tuple[str, str]] = []

    def fill(self) -> None:
        migrate.upgrade(self._cluster.url)
        began = time.monotonic()
        execute(self._cluster.url, _SESSIONS.format(namespace=_NAMESPACE, length=self._length, sessions=self._sessions))
        for position in range(1, self._length + 1):
            execute(self._cluster.url, _ITEMS.format(namespace=_NAMESPACE, position=position, sessions=self._sessions))
        execute(
            self._cluster.url,
            "VACUUM (ANALYZE) sessionstore.sessions",
            "VACUUM (ANALYZE) sessionstore.items",
            "CHECKPOINT",
        )
        seconds = time.monotonic() - began
        [(size, index)] = execute(
            self._cluster.url,
            "SELECT pg_size_pretty(pg_table_size('sessionstore.items')), "
            "pg_size_pretty(pg_indexes_size('sessionstore.items'))",
        )
        self._tell("items, of sessions", f"{self._sessions * self._length:,} of {self._sessions:,}")
        self._tell("table and its indexes", f"{size} and {index}, filled in {seconds:.0f} s")

    async def warm(self) -> None:
        """Each session is read twice; the second time counts."""
        names = self._some()

        async def read(manager: SessionManager[Any], name: str) -> float:
            await _read(manager, name)
            return await _read(manager, name)

        await self._each("newest 50, warm", names, read)

    async def appends(self) -> None:
        async def append(manager: SessionManager[Any], name: str) -> float:
            began = time.perf_counter()
            (await manager.append_items(name, [{"role": "user", "content": "x" * 256}])).unwrap()
            return time.perf_counter() - began

        await self._each("append of one item", self._some(), append)

    async def cold(self) -> None:
        """Each session is read once, after the caches were emptied."""
        self._cluster.stop()
        _forget(self._cluster.directory)
        self._cluster.start(shared_buffers=_BUFFERS)
        await self._each("newest 50, cold", self._some(), _read)

    async def reap(self) -> None:
        execute(self._cluster.url, _EXPIRE)
        async with open_storage(self._cluster.url) as storage:
            report = await Reaper(storage).run_once()
        rows = report.deleted * (self._length + 1)
        rate = rows / report.duration.total_seconds()
        self._tell("reaper", f"{report.deleted:,} sessions, {rate:,.0f} rows/s, items counted")
        began = time.monotonic()
        execute(self._cluster.url, "VACUUM sessionstore.items")
        self._tell("vacuum of items afterwards", f"{time.monotonic() - began:.1f} s")

    def report(self) -> str:
        return "".join(f"| {name} | {value} |\n" for name, value in [("what", "measured"), ("---", "---"), *self._rows])

    async def _each(
        self, what: str, names: Sequence[str], timed: Callable[[SessionManager[Any], str], Awaitable[float]]
    ) -> None:
        async with open_storage(self._cluster.url) as storage:
            manager: SessionManager[Any] = SessionManager(
                lambda _: {}, storage, _NAMESPACE, ttl=timedelta(days=1), item_type=None
            )
            await _read(manager, "s1")  # connects, compiles and plans
            seconds = sorted([await timed(manager, name) for name in names])
        high = seconds[int(0.95 * len(seconds))]
        self._tell(what, f"p50 {median(seconds) * 1e3:.2f} ms, p95 {high * 1e3:.2f} ms")

    def _some(self) -> list[str]:
        return [f"s{n}" for n in random.sample(range(2, self._sessions + 1), _READS)]

    def _tell(self, name: str, value: str) -> None:
        self._rows.append((name, value))
        sys.stderr.write(f"{name}: {value}\n")


async def _read(manager: SessionManager[Any], name: str) -> float:
    began = time.perf_counter()
    result = await manager.get_session(name, last_items=_WINDOW, touch=False)
    seconds = time.perf_counter() - began
    if len(result.items) != _WINDOW:
        raise RuntimeError(f"{name} has {len(result.items)} items")
    return seconds


def _forget(directory: Path) -> None:
    """Lets the operating system drop the files of a stopped server from its cache; see posix_fadvise(2)."""
    for path in directory.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep", description=__doc__)
    parser.add_argument("--items", type=int, default=20_000_000, help="in all (default: 20 million)")
    parser.add_argument("--length", type=int, default=200, help="items of a session (default: 200)")
    arguments = parser.parse_args()
    with clusters(1) as (cluster,):
        cluster.initialize()
        cluster.start(shared_buffers=_BUFFERS, max_wal_size="8GB")
        deep = Deep(cluster, arguments.items, arguments.length)
        deep.fill()
        for measure in (deep.warm, deep.appends, deep.cold, deep.reap):
            asyncio.run(measure())
        sys.stdout.write(deep.report())


if __name__ == "__main__":
    main()
