"""Fills the room that a SQLite file has, so many times: python -m tests.faults.disk_worker FILE HOW TIMES.

HOW is "limit" (no file of this process may grow any more, RLIMIT_FSIZE) or "ballast" (another file takes the room of a
small file system). It prints the row of the table as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import resource
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from sessionstore import SessionManager, StorageError, UpdateOutcomeUnknownError, migrate, open_storage
from sessionstore.testing.sqlite import sqlite_url

from .tally import Log, State, Way, reckon
from .writers import found, sessions_of, write

_WRITERS = 4
_ROOM = 400_000
_LUGGAGE = "x" * 30_000


class Limit:
    """No file may grow beyond what the largest of the database's files has and some room."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        # Python ignores SIGXFSZ, so that a write beyond it fails with EFBIG.
        largest = max(path.stat().st_size for path in self._file.parent.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + _ROOM, self._before[1]))

    def make_room(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


class Ballast:
    """A file that leaves only some room on the file system; a write beyond it fails with ENOSPC."""

    def __init__(self, file: Path) -> None:
        self._path = file.with_name("ballast")

    def fill(self) -> None:
        room = os.statvfs(self._path.parent)
        self._path.write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - _ROOM)))

    def make_room(self) -> None:
        self._path.unlink()


_WAYS: dict[str, Callable[[Path], Limit | Ballast]] = {"limit": Limit, "ballast": Ballast}


class Filler:
    """Writers, each with sessions of its own."""

    def __init__(self, manager: SessionManager[State]) -> None:
        self.log = Log()
        self.versions: dict[str, int] = {}
        self._manager = manager
        self._numbers = itertools.count(1)

    async def write_until_refused(self, writer: str) -> None:
        """Creates and updates larger and larger sessions until there is no room for another one."""
        for at in itertools.count():
            try:
                created = await self._manager.create_session(f"{writer}-{at}")
            except StorageError:
                return
            created.unwrap()
            self.versions[created.session_id] = created.version or 0
            if not await self.update(created.session_id, _LUGGAGE):
                return

    async def update(self, session: str, luggage: str) -> bool:
        """One write, which appends items, changes the state, or does both; whether it was acknowledged."""
        number = next(number for number in self._numbers if luggage or Way.of(number) is not Way.ITEMS)

        def load(state: State) -> None:
            state["luggage"] = luggage

        try:
            result = await write(self._manager, session, "w", number, also=load)
        except UpdateOutcomeUnknownError:
            self.log.unknown[session, "w"].add(number)
        except StorageError:
            self.log.refused[session, "w"].add(number)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            self.log.unexpected.append(repr(error))
        else:
            self.log.acknowledged[session, "w"].add(number)
            return result.success
        return False

    async def all_can_be_read(self) -> None:
        for session in self.versions:
            (await self._manager.get_session(session, touch=False)).unwrap()

    async def all_can_be_written(self) -> None:
        """Also sheds what they carry, so that the next time begins with as much room."""
        for session in self.versions:
            if not await self.update(session, ""):
                self.log.unexpected.append(f"{session} could not be written when there was room again")


async def main(file: Path, how: str, times: int) -> None:
    migrate.upgrade(sqlite_url(file))
    disk = _WAYS[how](file)
    async with open_storage(sqlite_url(file)) as storage:
        filler = Filler(sessions_of(storage))
        for at in range(times):
            disk.fill()
            await asyncio.gather(*(filler.write_until_refused(f"s{at}-{n}") for n in range(_WRITERS)))
            await filler.all_can_be_read()
            disk.make_room()
            await filler.all_can_be_written()
            with closing(sqlite3.connect(file)) as connection:
                problems = [problem for (problem,) in connection.execute("PRAGMA integrity_check")]
            filler.log.unexpected += [problem for problem in problems if problem != "ok"]
    row = reckon("", times, filler.log, await found(sqlite_url(file), filler.versions))
    if not row.refused:
        row.wrong.append("the disk was never full")
    sys.stdout.write(json.dumps(asdict(row)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
