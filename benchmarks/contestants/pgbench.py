"""pgbench with the same statements: what the server can do when its client costs next to nothing. The limit."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import psycopg
from sqlalchemy.engine import make_url

from sessionstore.testing.postgres import Database

from ..contestant import NAMESPACE, Task
from ..driving import Turn
from ..server import libpq_url, server_programs
from ..states import Change, SessionIds, State
from .raw_psycopg import RawPsycopg


class PgBench(RawPsycopg):
    """Loads as raw psycopg does, and then lets pgbench do the work."""

    driver = "libpq, C"
    job = "no library, no Python: the limit"
    note = (
        "The same statements, prepared, by PostgreSQL's own load generator. It writes back the state that it read, for "
        "it cannot decode one, and does not try again after a conflict: only writes that landed are counted."
    )

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.program = _program()

    @classmethod
    def version(cls) -> str:
        told = subprocess.run([_program(), "--version"], capture_output=True, text=True, check=True)
        return told.stdout.strip()

    async def open(self) -> None:
        """Pgbench connects by itself."""

    async def get(self, session: str) -> State:
        raise NotImplementedError("pgbench does whole turns")

    async def read_modify_write(self, session: str, change: Change) -> None:
        raise NotImplementedError("pgbench does whole turns")

    async def turn(
        self, task: Task, sessions: Sequence[str], *, callers: int, seconds: float, warm_up: float, counted: bool = True
    ) -> Turn:
        ids = cast("SessionIds", sessions)
        with tempfile.TemporaryDirectory() as directory:
            script = Path(directory) / "script.sql"
            script.write_text(self._script(task, ids))
            before = self._versions()
            # Whole seconds only.
            length = math.ceil(seconds + warm_up)
            await self._run(script, callers, length)
            written = self._versions() - before
            turn, all_of_them = _read(script.parent, seconds, warm_up)
        if task is not Task.GET and all_of_them:
            # Which of its transactions met a conflict it does not say: as many of these as of all.
            del turn.latencies[round(turn.operations * written / all_of_them) :]
        return turn

    def _script(self, task: Task, ids: SessionIds) -> str:
        lines = [f"\\set session_id random({ids.first}, {ids.first + len(ids) - 1})"]
        if task is Task.GET:
            lines.append(f"{self.sql.get.for_pgbench()};")
        else:
            lines += ["\\set count 1", f"{self.sql.get.for_pgbench()} \\gset", f"{self.sql.update.for_pgbench()};"]
        return "\n".join([*lines, ""])

    def _versions(self) -> int:
        """The sum of all versions, in which every write that landed is one more."""
        with psycopg.connect(libpq_url(self.database.url)) as connection:
            row = connection.execute(f'SELECT sum(version::numeric) FROM "{self.schema}".sessions').fetchone()
        assert row is not None
        return int(row[0])

    async def _run(self, script: Path, callers: int, seconds: int) -> None:
        url = make_url(self.database.url)
        host = url.host or cast("str", url.query.get("host", ""))
        options: dict[str, Any] = {
            "--client": callers,
            "--jobs": min(callers, os.cpu_count() or 1),
            "--time": seconds,
            "--protocol": "prepared",
            "--file": script,
            "--log-prefix": script.parent / "log",
            "--define": f"namespace={NAMESPACE}",
            "--username": url.username or "",
            "--host": host,
            "--port": url.port or "",
        }
        arguments = [f"{name}={value}" for name, value in options.items() if value != ""]
        process = await asyncio.create_subprocess_exec(
            self.program,
            "--no-vacuum",
            "--log",
            *arguments,
            str(url.database),
            env=os.environ | ({"PGPASSWORD": str(url.password)} if url.password else {}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(output.decode(errors="replace").strip().splitlines()[-1])


def _read(directory: Path, seconds: float, warm_up: float) -> tuple[Turn, int]:
    """The turn out of pgbench's logs of transactions, and how many of them there were with the warm-up."""
    transactions = []
    errors: Counter[str] = Counter()
    for line in "".join(path.read_text() for path in directory.glob("log.*")).splitlines():
        _, _, latency, _, epoch, fraction = line.split()[:6]
        if latency.isdigit():
            transactions.append((int(epoch) + int(fraction) / 1e6, int(latency) / 1e6))
        else:
            errors[f"pgbench: {latency}"] += 1
    if not transactions:
        return Turn(seconds, [], errors), 0
    first = min(end - latency for end, latency in transactions)
    begin = first + warm_up
    latencies = [latency for end, latency in transactions if begin <= end - latency and end <= begin + seconds]
    return Turn(seconds, latencies, errors), len(transactions)


def _program() -> str:
    found = shutil.which("pgbench", path=os.pathsep.join([*server_programs(), os.environ.get("PATH", "")]))
    if found is None:
        raise FileNotFoundError("pgbench is not there: it comes with PostgreSQL's client or server packages")
    return found
