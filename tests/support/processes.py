"""Python processes beside the test, in the root of the project."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """How a process ended, and what it printed to either output."""

    status: int
    output: str


async def python(*arguments: str, **environment: str) -> Ended:
    """Runs Python with these arguments; what is given by name is added to its environment."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode())


async def pythons(count: int, *arguments: str, **environment: str) -> None:
    """Runs so many of them at once; all have to end well."""
    ended = await asyncio.gather(*(python(*arguments, **environment) for _ in range(count)))
    assert [process.status for process in ended] == [0] * count, ended
