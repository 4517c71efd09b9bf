"""Processes of writers are killed in the middle of what they do, beside others that go on."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from sessionstore import open_storage
from sessionstore.testing.directory import short_directory
from sessionstore.testing.sqlite import migrated_file, sqlite_url
from tests.support.processes import ROOT

from .server import Cluster
from .tally import Log, Row, reckon
from .ways import migrated
from .writers import found, sessions_of

_POSTGRESQL = "client killed (kill -9), PostgreSQL"
_SQLITE = "client killed (kill -9), SQLite"
_SESSIONS = 4
_PATIENCE = 60.0
_MOST_BEFORE = 60
"""How many acknowledgements a client gets, at the most, before it is killed."""


async def killed_client(cluster: Cluster, times: int) -> list[Row]:
    """So many clients of PostgreSQL, and as many of SQLite, whose file is checked after each of them."""
    async with migrated(cluster.server) as database:
        rows = [await _kill(database.url, _POSTGRESQL, times, None)]
    with short_directory() as directory:
        file = await asyncio.to_thread(migrated_file, directory / "sessions.db")
        return [*rows, await _kill(sqlite_url(file), _SQLITE, times, file)]


async def _kill(url: str, fault: str, times: int, file: Path | None) -> Row:
    log = Log()
    versions: dict[str, int] = {}
    async with open_storage(url) as storage:
        for at in range(times):
            # Of their own, because with each client that ever wrote them states grow.
            sessions = [f"s{at}-{n}" for n in range(_SESSIONS)]
            for session in sessions:
                created = await sessions_of(storage).create_session(session)
                created.unwrap()
                versions[session] = created.version or 0
            async with _Client.started(log, url, f"survivor{at}", *sessions) as survivor:
                async with _Client.started(log, url, f"victim{at}", *sessions) as victim:
                    await victim.lands(random.randint(1, _MOST_BEFORE))  # noqa: S311
                    await victim.kill()
                await survivor.lands(_MOST_BEFORE)
                await survivor.end()
            if file is not None:
                log.unexpected += await asyncio.to_thread(_damage, file)
    return reckon(fault, times, log, await found(url, versions))


def _damage(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [problem for (problem,) in connection.execute("PRAGMA integrity_check") if problem != "ok"]


class _Client:
    """A process of client.py, whose words go into the log."""

    def __init__(self, log: Log, process: asyncio.subprocess.Process) -> None:
        self._log = log
        self._process = process
        self._landed = asyncio.Semaphore(0)
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    @asynccontextmanager
    async def started(cls, log: Log, *arguments: str) -> AsyncIterator[_Client]:
        command = [sys.executable, "-m", "tests.faults.client", *arguments]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
        client = cls(log, process)
        try:
            yield client
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await client._listening

    async def lands(self, count: int) -> None:
        """Waits until so many more of its updates were acknowledged."""
        async with asyncio.timeout(_PATIENCE):
            for _ in range(count):
                await self._landed.acquire()

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()

    async def end(self) -> None:
        """Has it end by itself, which it has to do well."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(_PATIENCE):
            if status := await self._process.wait():
                self._log.unexpected.append(f"a client ended with status {status}")

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if self._log.note(line.decode()):
                self._landed.release()
