"""What takes part with threads: one small interface, and the threads that call it."""

from __future__ import annotations

import gc
import random
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import perf_counter
from typing import ClassVar, TypeAlias

from sessionstore.sync import SessionManager, open_storage
from sessionstore.testing.postgres import Database

from ..contestant import NAMESPACE, POOL_SIZE, TTL, Task
from ..driving import Turn, in_words
from ..states import Change, State, change, make_state

Call: TypeAlias = Callable[[str], object]


class Threaded(ABC):
    """Keeps states of sessions, without asyncio. `open()`, work and `close()` in each turn.

    Attributes:
        job: How its job differs from the library's, or how it is set up; stands in every table.
    """

    job: ClassVar[str] = ""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.stack = ExitStack()

    @abstractmethod
    def open(self) -> None:
        """Connects; what it leaves on `self.stack` ends with the turn."""

    @abstractmethod
    def get(self, session: str) -> State:
        """Reads a session's state, as a caller would use it."""

    @abstractmethod
    def read_modify_write(self, session: str, change: Change) -> None:
        """Reads a session's state, changes it and writes it."""

    def load(self, sessions: Sequence[str]) -> None:
        """Makes the tables, and creates sessions with the state that make_state() gives them."""
        self.database.migrate()
        with open_storage(self.database.url) as storage:
            manager = SessionManager(make_state, storage, NAMESPACE, ttl=TTL)
            for session in sessions:
                manager.create_session(session).unwrap()

    def turn(self, task: Task, sessions: Sequence[str], *, callers: int, seconds: float, warm_up: float) -> Turn:
        """Lets threads do a task on random sessions for a while, after a while that does not count."""
        call: Call = self.get if task is Task.GET else lambda session: self.read_modify_write(session, change)
        with self.stack:
            self.open()
            drive_threads(warm_up, call, sessions, max(callers, POOL_SIZE))
            before = self._count(sessions)
            turn = drive_threads(seconds, call, sessions, callers)
            if task is not Task.GET:
                turn.lost = turn.operations - (self._count(sessions) - before)
        return turn

    def _count(self, sessions: Sequence[str]) -> int:
        return sum(self.get(session)["n"] for session in sessions)


def drive_threads(seconds: float, call: Call, sessions: Sequence[str], callers: int) -> Turn:
    """Lets so many threads call for a number of seconds, each on a random session at a time."""
    gc.collect()  # so that nobody pays for the garbage of whoever came before
    turns = [Turn(0, [], Counter()) for _ in range(callers)]
    end = perf_counter() + seconds
    threads = [
        threading.Thread(target=_drive, args=(end, call, sessions, number, turn)) for number, turn in enumerate(turns)
    ]
    began = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latencies = [latency for turn in turns for latency in turn.latencies]
    return Turn(perf_counter() - began, latencies, sum((turn.errors for turn in turns), Counter[str]()))


def _drive(end: float, call: Call, sessions: Sequence[str], number: int, turn: Turn) -> None:
    chance = random.Random(number)  # noqa: S311
    while (began := perf_counter()) < end:
        try:
            call(sessions[chance.randrange(len(sessions))])
        except Exception as error:  # noqa: BLE001  # any: it is counted and told, and the others go on
            turn.errors[in_words(error)] += 1
        else:
            turn.latencies.append(perf_counter() - began)
