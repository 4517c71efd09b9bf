"""A process whose clock is wrong: python -m tests.faults.clock_worker SECONDS URL.

It answers a line by a line: "create ID", "update ID", "look ID" with whether the session lives, "reap" with how many were
deleted, "now" with what it takes for the time, as seconds since 1970.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import sys
import time
from typing import Any

import psycopg  # noqa: F401  # its C code looks at the class that is about to be replaced

TTL = 0.4


def shift_clock(seconds: float) -> None:
    """Everything in this process that asks Python for the time gets another one; to be called before it is imported."""
    right, right_ns, Right = time.time, time.time_ns, datetime.datetime
    delta = datetime.timedelta(seconds=seconds)

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, Right)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, Right)

    class Wrong(Right, metaclass=Kind):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return Right.now(tz) + delta

        @classmethod
        def utcnow(cls) -> Any:
            return Right.now(datetime.UTC).replace(tzinfo=None) + delta

    time.time = lambda: right() + seconds
    time.time_ns = lambda: right_ns() + round(seconds * 1e9)
    datetime.datetime = Wrong  # type: ignore[misc]


async def main(url: str) -> None:
    from sessionstore import Reaper, open_storage

    from .writers import sessions_of

    async with open_storage(url) as storage:
        manager, reaper = sessions_of(storage), Reaper(storage)

        async def answer(command: str, session: str) -> object:
            match command:
                case "create":
                    return (await manager.create_session(session, ttl=datetime.timedelta(seconds=TTL))).created
                case "update":
                    return (await manager.update_session(session, lambda state: state)).success
                case "look":
                    return (await manager.get_session(session, touch=False)).success
                case "reap":
                    return (await reaper.run_once()).deleted
                case _:
                    return datetime.datetime.now(datetime.UTC).timestamp()

        while line := await asyncio.to_thread(sys.stdin.readline):
            command, _, session = line.strip().partition(" ")
            os.write(1, f"{await answer(command, session)}\n".encode())


if __name__ == "__main__":
    shift_clock(float(sys.argv[1]))
    asyncio.run(main(sys.argv[2]))
