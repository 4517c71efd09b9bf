"""Clients whose clocks are an hour ahead and an hour behind; sessions live by the server's."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg

from tests.support.bystander import dsn
from tests.support.processes import ROOT

from .clock_worker import TTL
from .server import Cluster
from .tally import Row
from .ways import migrated

_FAULT = "clock of a client an hour off"
_HOUR = 3600
_ACCESSES = 3
_LONGEST = 1.1 * TTL
_NOW = b"SELECT extract(epoch FROM clock_timestamp())::float8"


async def wrong_clock(cluster: Cluster, times: int) -> list[Row]:
    """So many sessions, each of which is accessed by both in turn and then left alone."""
    row = Row(_FAULT, times)
    async with (
        migrated(cluster.server) as database,
        _Client.started(_HOUR, database.url) as ahead,
        _Client.started(-_HOUR, database.url) as behind,
        await psycopg.AsyncConnection.connect(dsn(database.url), autocommit=True) as server,
    ):
        for client, wrong_by in ((ahead, _HOUR), (behind, -_HOUR)):
            if abs(float(await client.ask("now")) - time.time() - wrong_by) > 60:
                row.wrong.append(f"the clock of a client is not {wrong_by} s off")
        for at in range(times):
            clients = (ahead, behind) if at % 2 else (behind, ahead)
            await _live_and_expire(row, f"s{at}", clients, server)
    return [row]


async def _live_and_expire(
    row: Row, session: str, clients: tuple[_Client, _Client], server: psycopg.AsyncConnection
) -> None:
    first, second = clients
    reaped = 0
    before, told, after = await _timed(server, first, "create", session)
    for at in range(_ACCESSES):
        row.acknowledged += told == "True"
        await asyncio.sleep(0.6 * TTL)
        reaped += int(await first.ask("reap"))
        if reaped and await _now(server) < before + TTL:
            row.wrong.append(f"{session} was reaped while it lived")
        first, second = second, first
        accessed_before, told, accessed_after = await _timed(server, first, "append" if at % 2 else "update", session)
        if told == "True":
            before, after = accessed_before, accessed_after
        elif accessed_after < before + TTL:
            row.lost += 1
    while True:
        looked, told, done = await _timed(server, first, "look", session)
        if told != "True":
            break
        if looked > after + _LONGEST:
            row.wrong.append(f"{session} lived for more than {looked - after:.3f} s")
            break
        first, second = second, first
    if done < before + TTL:
        row.lost += 1
    if reaped + int(await second.ask("reap")) != 1:
        row.wrong.append(f"{session} had expired and was not reaped once")


async def _timed(
    server: psycopg.AsyncConnection, client: _Client, command: str, session: str
) -> tuple[float, str, float]:
    """What a client says, and when by the server's clock it was asked and had answered."""
    before = await _now(server)
    told = await client.ask(f"{command} {session}")
    return before, told, await _now(server)


async def _now(server: psycopg.AsyncConnection) -> float:
    ((now,),) = await (await server.execute(_NOW)).fetchall()
    return float(now)


class _Client:
    """A process of clock_worker.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def started(cls, seconds: float, url: str) -> AsyncIterator[_Client]:
        command = [sys.executable, "-m", "tests.faults.clock_worker", str(seconds), url]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
        try:
            yield cls(process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def ask(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n".encode())
        async with asyncio.timeout(60):
            return (await self._process.stdout.readline()).decode().strip()
