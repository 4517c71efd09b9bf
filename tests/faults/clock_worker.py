"""A process whose clock is wrong: python -m tests.faults.clock_worker SECONDS URL.

It answers a line by a line: "create ID", "update ID", "append ID" and "look ID" with whether the session lives, "reap"
with how many were deleted, "now" with what it takes for the time, as seconds since 1970.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
import time
from typing import Any

import psycopg  # noqa: F401  # its C code looks at the class that is about to be replaced

TTL = 0.4

_RIGHT = dt.datetime


class _Kind(type):
    """Of the wrong class, also what was made by the right one is an instance."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RIGHT)


def shift_clock(seconds: float) -> None:
    """Whatever asks Python for the time from now on gets another one. To be called before what asks is imported."""
    right, right_ns = time.time, time.time_ns
    delta = dt.timedelta(seconds=seconds)

    class Wrong(dt.datetime, metaclass=_Kind):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return _RIGHT.now(tz) + delta

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now(dt.UTC).replace(tzinfo=None)

    time.time = lambda: right() + seconds
    time.time_ns = lambda: right_ns() + round(seconds * 1e9)
    dt.datetime = Wrong  # type: ignore[misc]


async def main(url: str) -> None:
    from sessionstore import Reaper, open_storage

    from .writers import sessions_of

    async with open_storage(url) as storage:
        manager, reaper = sessions_of(storage), Reaper(storage)

        async def answer(command: str, session: str) -> object:
            match command:
                case "create":
                    return (await manager.create_session(session, ttl=dt.timedelta(seconds=TTL))).created
                case "update":
                    return (await manager.update_session(session, lambda state: state)).success
                case "append":
                    return (await manager.append_items(session, [session])).success
                case "look":
                    return (await manager.get_session(session, touch=False)).success
                case "reap":
                    return (await reaper.run_once()).deleted
                case _:
                    return dt.datetime.now(dt.UTC).timestamp()

        while line := await asyncio.to_thread(sys.stdin.readline):
            command, _, session = line.strip().partition(" ")
            os.write(1, f"{await answer(command, session)}\n".encode())


if __name__ == "__main__":
    shift_clock(float(sys.argv[1]))
    asyncio.run(main(sys.argv[2]))
