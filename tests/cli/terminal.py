"""Runs `python -m sessionstore` as a process: with pipes, or at a terminal where somebody watches and answers."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "sessionstore"]


@dataclass(frozen=True)
class Session:
    """How a command at a terminal ended: its status, what it wrote to the pipe, and what was seen on the screen."""

    status: int
    stdout: str
    screen: str


def surroundings(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CHECKOUT), **variables}


def run_process(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the command with pipes."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=surroundings(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run_at_terminal(*arguments: str, answer: str = "") -> Session:
    """Runs the command with stdin and stderr at a terminal, and stdout in a pipe."""
    screen, terminal = pty.openpty()
    with os.fdopen(screen, "r+b", buffering=0) as watching:
        try:
            process = subprocess.Popen(
                [*COMMAND, *arguments],
                env=surroundings(TERM="xterm", COLUMNS="160"),
                stdin=terminal,
                stdout=subprocess.PIPE,
                stderr=terminal,
            )
        finally:
            os.close(terminal)
        with process:
            # The terminal keeps what was typed until the command asks.
            watching.write(answer.encode())
            seen = bytearray()
            # Linux ends a terminal that everybody left with an error, other systems with an empty read.
            with contextlib.suppress(OSError):
                while chunk := watching.read(4096):
                    seen += chunk
            assert process.stdout is not None
            stdout = process.stdout.read()
    return Session(process.returncode, stdout.decode(), seen.decode())
