"""gunicorn with --preload: workers are forked from a process that used the storage already."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from sessionstore.testing.directory import short_directory
from sessionstore.testing.postgres import Database, asyncpg_url
from sessionstore.testing.sqlite import copied_file, sqlite_url
from tests.support.processes import ROOT

REQUESTS = 60


@pytest.fixture(params=["psycopg", "asyncpg", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(copied_file(request.getfixturevalue("sqlite_template"), tmp_path / "sessions.db"))
    database: Database = request.getfixturevalue("database")
    database.empty()
    return asyncpg_url(database.url) if request.param == "asyncpg" else database.url


async def test_workers_of_a_preloaded_application_lose_no_update(url: str) -> None:
    with short_directory() as directory:
        socket = directory / "http"
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gunicorn", "--preload", "--workers", "3", "--bind", f"unix:{socket}"),
            *("--worker-tmp-dir", str(directory), "--no-control-socket", "tests.storage.sql.connections.preloaded"),
            cwd=ROOT,
            env={**os.environ, "SESSIONSTORE_DATABASE_URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert server.stdout is not None
        said = b""
        try:
            async with asyncio.timeout(60):
                while said.count(b"Booting worker") < 3:
                    line = await server.stdout.readline()
                    assert line, said.decode()
                    said += line
                answers = await asyncio.gather(*(_get(socket, f"s{at % 8}") for at in range(REQUESTS)))
        finally:
            server.terminate()
            said += (await server.communicate())[0]

    assert b"Traceback" not in said, said.decode()
    counted = Counter(answer.split()[0] for answer in answers)
    highest = {
        session_id: max(int(a.split()[1]) for a in answers if a.split()[0] == session_id) for session_id in counted
    }
    assert highest == dict(counted)
    assert sum(counted.values()) == REQUESTS


async def _get(socket: Path, session_id: str) -> str:
    """One request, whose answer is about the session that was asked for."""
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(f"GET /{session_id} HTTP/1.0\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    body = answer.partition("\r\n\r\n")[2]
    assert body.split()[0] == session_id, answer
    return body
