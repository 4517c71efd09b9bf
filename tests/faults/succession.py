"""Processes that fork, and event loops that end, in the middle of what their storage does."""

from __future__ import annotations

import asyncio

from sessionstore import open_storage
from sessionstore.testing.directory import short_directory
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import migrated_file, sqlite_url
from tests.support.processes import python

from .server import Cluster
from .tally import Log, Row, reckon
from .ways import each_way
from .writers import found, sessions_of

_FAULTS = {
    "forks": "process forked under traffic",
    "loops": "event loop ended under traffic",
    "threads": "event loop of a thread ended beside others",
}
_SESSIONS = 4


async def forked(cluster: Cluster, times: int) -> list[Row]:
    """So many forks through the drivers of PostgreSQL, and as many on SQLite."""
    return await _succeed(cluster, "forks", times)


async def ended_loops(cluster: Cluster, times: int) -> list[Row]:
    """So many event loops through the drivers of PostgreSQL, and as many on SQLite."""
    return await _succeed(cluster, "loops", times)


async def ended_threads(cluster: Cluster, times: int) -> list[Row]:
    """So many event loops, several at once in threads, through the drivers of PostgreSQL, and as many on SQLite."""
    return await _succeed(cluster, "threads", times)


async def _succeed(cluster: Cluster, kind: str, times: int) -> list[Row]:
    async def one_way(database: Database, driver: str, share: int) -> Row:
        return await _run(kind, f"{_FAULTS[kind]}, PostgreSQL", _driven(database.url, driver), share)

    row = await each_way(cluster, times, one_way)
    with short_directory() as directory:
        file = await asyncio.to_thread(migrated_file, directory / "sessions.db")
        return [row, await _run(kind, f"{_FAULTS[kind]}, SQLite", sqlite_url(file), times)]


def _driven(url: str, driver: str) -> str:
    return url.replace("+psycopg:", f"+{driver}:", 1)


async def _run(kind: str, fault: str, url: str, times: int) -> Row:
    versions: dict[str, int] = {}
    async with open_storage(url) as storage:
        for session in (f"s{n}" for n in range(_SESSIONS)):
            created = await sessions_of(storage).create_session(session)
            created.unwrap()
            versions[session] = created.version or 0
    log = Log()
    # Python 3.12 warns of each fork in a process with threads.
    quiet = ("-W", "ignore::DeprecationWarning")
    ended = await python(*quiet, "-m", "tests.faults.successor", kind, str(times), url, *versions)
    for line in ended.output.splitlines():
        if line.startswith(("try ", "landed ", "unknown ", "refused ", "unexpected ")):
            log.note(line)
        elif kind == "forks":  # drivers that are cancelled in the middle of a statement may log it
            log.unexpected.append(line)
    if ended.status:
        log.unexpected.append(f"the process ended with status {ended.status}")
    return reckon(fault, times, log, await found(url, versions))
