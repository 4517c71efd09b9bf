"""SQLite's file is replaced by a copy of it, as when a backup is restored, while nobody writes; the service goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from sessionstore import open_storage
from sessionstore.testing.directory import short_directory
from sessionstore.testing.sqlite import migrated_file, sqlite_url

from .server import Cluster
from .tally import Row
from .writers import Writers

_FAULT = "SQLite's file replaced by a copy"


async def replaced_file(_: Cluster, times: int) -> list[Row]:
    """So many times. What is acknowledged from then on has to be in the new file."""
    with short_directory() as directory:
        file = await asyncio.to_thread(migrated_file, directory / "sessions.db")
        async with open_storage(sqlite_url(file)) as storage:
            async with Writers(storage) as writers:
                for _again in range(times):
                    await writers.go_on()
                    async with writers.pause():
                        await asyncio.to_thread(_replace, file)
                await writers.go_on()
            return [(await writers.row(sqlite_url(file), _FAULT, times)).none_refused()]


def _replace(file: Path) -> None:
    copy = file.with_name("copy.db")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    for log in ("-wal", "-shm"):
        file.with_name(f"{file.name}{log}").unlink(missing_ok=True)
    copy.replace(file)
