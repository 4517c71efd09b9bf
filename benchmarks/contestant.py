"""What takes part: one small interface, behind which the library, raw drivers and others do the same work."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from enum import Enum
from importlib.metadata import version
from typing import ClassVar, Final

from sessionstore.testing.postgres import Database

from .driving import Turn, drive_for
from .states import Change, State, change

POOL_SIZE: Final = 10
TTL: Final = timedelta(minutes=30)
NAMESPACE: Final = "bench"


class Task(Enum):
    """What callers do in a turn."""

    GET = "get"
    READ_MODIFY_WRITE = "read, modify, write"
    INCREMENT = "increment"


class Contestant(ABC):
    """Keeps states of sessions. `setup()` once; then, for each turn, `open()`, work and `close()`.

    Between turns nothing is open, so that no two contestants disturb each other. All have pools of POOL_SIZE.

    Attributes:
        packages: The distributions on PyPI whose versions are told.
        driver: What talks to PostgreSQL.
        job: In a few words, how its job differs from the library's; stands in every table.
        note: How it is used here.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    driver: ClassVar[str] = "psycopg"
    job: ClassVar[str] = ""
    note: ClassVar[str] = ""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.stack = AsyncExitStack()

    @classmethod
    def version(cls) -> str:
        """What it is, and of which version."""
        return ", ".join(f"{package} {version(package)}" for package in cls.packages)

    async def setup(self) -> None:  # noqa: B027  # some make their tables when they are opened
        """Makes its tables."""

    @abstractmethod
    async def open(self) -> None:
        """Connects; what it leaves on `self.stack` ends with the turn."""

    async def close(self) -> None:
        """Ends the turn."""
        await self.stack.aclose()

    @abstractmethod
    async def load(self, sessions: Sequence[str]) -> None:
        """Creates sessions with the state that make_state() gives them."""

    @abstractmethod
    async def get(self, session: str) -> State:
        """Reads a session's state, as a caller would use it."""

    @abstractmethod
    async def read_modify_write(self, session: str, change: Change) -> None:
        """Reads a session's state, changes it and writes it."""

    async def increment(self, session: str) -> None:
        """Adds one to the counter of a session that everybody writes."""
        await self.read_modify_write(session, change)

    async def count(self, sessions: Sequence[str]) -> int:
        """The sum of the sessions' counters."""
        return sum(state["n"] for state in await asyncio.gather(*map(self.get, sessions)))

    async def turn(
        self, task: Task, sessions: Sequence[str], *, callers: int, seconds: float, warm_up: float, counted: bool = True
    ) -> Turn:
        """Lets callers do a task on random sessions for a while, after a while that does not count.

        Args:
            task: What they do.
            sessions: Which sessions they choose from.
            callers: How many at a time.
            seconds: For how long.
            warm_up: For how long before, so that connections are made and statements prepared.
            counted: Whether counters are compared with what callers were told, to find lost updates.
        """
        counted = counted and task is not Task.GET
        calls = {Task.GET: self.get, Task.READ_MODIFY_WRITE: self._change, Task.INCREMENT: self.increment}
        # As many as there are connections, so that one caller meets ten that are ready, whoever's turn it is.
        await drive_for(warm_up, calls[task], sessions, max(callers, POOL_SIZE))
        before = await self.count(sessions) if counted else 0
        turn = await drive_for(seconds, calls[task], sessions, callers)
        if counted:
            turn.lost = turn.operations - (await self.count(sessions) - before)
        return turn

    async def _change(self, session: str) -> None:
        await self.read_modify_write(session, change)
