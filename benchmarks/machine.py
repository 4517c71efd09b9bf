"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from sessionstore.testing.postgres import PostgresServer

from .options import Options
from .report import Table
from .server import has_lz4, setting

_PACKAGES = ("sessionstore", "sqlalchemy", "psycopg", "psycopg-pool", "asyncpg", "orjson")
_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size", "wal_sync_method")


def machine_table(server: PostgresServer, options: Options) -> Table:
    """The machine, the versions, the server's settings, the date and the command."""
    rows = [
        ("Date", f"{datetime.now(UTC):%Y-%m-%d}"),
        ("Command", f"`{options.command}`"),
        ("Rounds", f"{options.rounds}, turns of {options.seconds:g} s after a warm-up of {options.warm_up:g} s"),
        ("Processor", f"{_processor()}, {_cores()} cores for client and server together"),
        ("Memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"),
        ("System", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("PostgreSQL", f"{setting(server, 'server_version')}, {_way(server)}"),
        ("Its settings", ", ".join(f"{name} = {setting(server, name)}" for name in _SETTINGS)),
        ("It compresses states with", "lz4" if has_lz4(server) else "pglz: it was built without lz4"),
        ("Packages", ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)),
    ]
    return Table("", ["", "this run"], rows, words=frozenset({"this run"}))


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return "(not installed)"


def _way(server: PostgresServer) -> str:
    return "over a Unix socket" if setting(server, "listen_addresses") == "" else "over TCP or a Unix socket"


def _cores() -> int:
    # Of a container it may have fewer than the machine.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file() and (
        found := re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
    ):
        return found[1]
    return platform.processor() or platform.machine()
