"""uvicorn with two processes, as a subprocess on a free port of this machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import httpx

from tests.support.processes import ROOT

PATIENCE = 60.0
_RUNNING = re.compile(r"Uvicorn running on (http://127\.0\.0\.1:\d+)")
_SERVICE = "tests.integrations.starlette.service:app"
_COMMAND = ["-m", "uvicorn", _SERVICE, "--workers", "2", "--port", "0", "--no-access-log", "--no-use-colors"]
_COMMAND += ["--timeout-keep-alive", "60"]  # a browser of the tests stays with its process


@dataclass(frozen=True)
class Server:
    """A running uvicorn."""

    address: str

    @asynccontextmanager
    async def browser(self, cookies: httpx.Cookies | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """A browser with one connection, so that one process answers all of its requests."""
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(base_url=self.address, limits=limits, timeout=PATIENCE) as client:
            if cookies is not None:
                client.cookies = cookies
            yield client

    @asynccontextmanager
    async def both_processes(self) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
        """Two connections of one browser, each to another process. The cookie jar is the same."""
        async with self.browser() as first:
            stopped = await process_of(first)
            os.kill(stopped, signal.SIGSTOP)  # it takes no connection now
            try:
                async with self.browser() as second:
                    assert await process_of(second) != stopped
                    os.kill(stopped, signal.SIGCONT)
                    second._cookies = first._cookies  # `cookies =` would copy the jar
                    yield first, second
            finally:
                _continue(stopped)


async def process_of(client: httpx.AsyncClient) -> int:
    """The process that answers this browser."""
    return int((await client.get("/show")).headers["X-Pid"])


def _continue(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return  # the test killed it


@contextmanager
def serving(url: str) -> Iterator[Server]:
    """Runs the service until both processes are there; ends it with SIGTERM, as an operator does."""
    process = subprocess.Popen(
        [sys.executable, *_COMMAND],
        cwd=ROOT,
        env={**os.environ, "SESSIONSTORE_DATABASE_URL": url},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    log: list[str] = []
    reading = threading.Thread(target=log.extend, args=(process.stderr,))
    give_up = threading.Timer(PATIENCE, process.kill)
    give_up.start()
    try:
        while "".join(log).count("Application startup complete") < 2:
            line = process.stderr.readline()
            assert line, log
            log.append(line)
        found = _RUNNING.search("".join(log))
        assert found is not None, log
        give_up.cancel()
        reading.start()
        yield Server(found[1])
    finally:
        give_up.cancel()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            if reading.ident is not None:
                reading.join()
            process.stderr.close()
    assert "Traceback" not in "".join(log), "".join(log)
