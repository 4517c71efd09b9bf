"""There is no room for another page of a SQLite file, and then there is again."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence

from sessionstore.testing.directory import short_directory
from tests.support.processes import ROOT

from .server import Cluster
from .tally import Row

_LIMITED = "SQLite file may not grow (RLIMIT_FSIZE)"
_FULL = "SQLite's file system full"

# A file system that nobody else sees and that is gone with the process. Where nobody may make one, there is the limit.
_OWN_MOUNTS = ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--user", "--map-root-user"))]
_ON_SMALL_DISK = [*_OWN_MOUNTS, "sh", "-c", 'mount -t tmpfs -o size=16m none "$0" && exec "$@"']


async def full_disk(_: Cluster, times: int) -> list[Row]:
    """So many times each; the small file system only on Linux and where this user may make one."""
    rows = [await _fill(_LIMITED, "limit", times)]
    if await _may_mount():
        rows.append(await _fill(_FULL, "ballast", times))
    return rows


async def _fill(fault: str, how: str, times: int) -> Row:
    with short_directory() as directory:
        worker = [sys.executable, "-m", "tests.faults.disk_worker", str(directory / "sessions.db"), how, str(times)]
        command = worker if how == "limit" else [*_ON_SMALL_DISK, str(directory), *worker]
        status, output = await _run(command)
    if status:
        return Row(fault, times, wrong=[f"the process ended with status {status}"])
    return Row(**{**json.loads(output), "fault": fault})


async def _may_mount() -> bool:
    with short_directory() as directory:
        try:
            status, _ = await _run([*_ON_SMALL_DISK, str(directory), "true"])
        except FileNotFoundError:
            return False
    return status == 0


async def _run(command: Sequence[str]) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output
