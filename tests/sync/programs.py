"""Programs in processes of their own, which must end by themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SECONDS: Final = 90.0

PRELUDE: Final = """
import asyncio, atexit, contextlib, multiprocessing, os, signal, sys, threading, time
import sessionstore
from sessionstore.sync import *
from tests.sync.counting import add_one, new_count

def threads():
    return [thread.name for thread in threading.enumerate() if thread.name == "sessionstore"]

def counted(url, session="s"):
    with open_storage(url) as storage:
        return SessionManager(new_count, storage).get_session(session).unwrap()["n"]
"""


def run(code: str, *arguments: str, status: int = 0) -> list[str]:
    """Runs a program that begins with PRELUDE, and returns the lines that it printed to either output."""
    return command(
        sys.executable,
        "-X",
        "faulthandler",
        "-W",
        "ignore::DeprecationWarning",
        "-c",
        PRELUDE + code,
        *arguments,
        status=status,
    )


def command(*arguments: str, status: int = 0) -> list[str]:
    """Runs a command, and returns the lines that it printed to either output."""
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # faulthandler shows where each thread is
        output, _ = process.communicate()
        raise AssertionError(f"the program did not end:\n{output}") from None
    assert process.returncode == status, output
    return output.splitlines()
