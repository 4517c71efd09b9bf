"""A process that is succeeded by itself: python -m tests.faults.successor forks|loops|threads TIMES URL SESSION_ID...

It forks under traffic, and its children use the storage of their parent; or its event loop ends under traffic, and the
next one goes on with the storage, or several do at once in threads. It tells of each update in the words of client.py.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from sessionstore import SessionManager, open_storage

from .client import tell, write_and_tell
from .tally import State
from .writers import sessions_of

_WRITERS = 6
_OWN = 4
"""How many updates each writer of a child makes."""
_AT_ONCE = 3


def fork_under_traffic(manager: SessionManager[State], times: int, session_ids: Sequence[str]) -> None:
    over = threading.Event()
    warm = threading.Barrier(2)

    def numbers() -> Iterator[int]:
        return itertools.takewhile(lambda _: not over.is_set(), itertools.count(1))

    async def traffic() -> None:
        await write_and_tell(manager, session_ids, "first", [1])
        warm.wait()
        await asyncio.gather(*(write_and_tell(manager, session_ids, f"parent-{n}", numbers()) for n in range(_WRITERS)))

    parent = threading.Thread(target=asyncio.run, args=(traffic(),))
    parent.start()
    warm.wait()
    children: list[int] = []
    for at in range(times):
        pid = os.fork()
        if pid == 0:
            _be_a_child(manager, session_ids, f"child{at}")
        children.append(pid)
        if len(children) == _AT_ONCE:
            _wait_for(children)
    _wait_for(children)
    over.set()
    parent.join()


def _be_a_child(manager: SessionManager[State], session_ids: Sequence[str], name: str) -> None:
    async def traffic() -> None:
        own = range(1, _OWN + 1)
        await asyncio.gather(*(write_and_tell(manager, session_ids, f"{name}-{n}", own) for n in range(_WRITERS)))

    status = 1
    try:
        asyncio.run(asyncio.wait_for(traffic(), 60))
        status = 0
    finally:
        os._exit(status)


def _wait_for(children: list[int]) -> None:
    while children:
        if status := os.waitpid(children.pop(), 0)[1]:
            tell("unexpected", "-", "child", 0, f"a child ended with status {status}")


def end_loops_under_traffic(
    manager: SessionManager[State], times: int, session_ids: Sequence[str], *, at_once: int = 1
) -> None:
    async def traffic(at: int) -> None:
        writers = [
            asyncio.create_task(write_and_tell(manager, session_ids, f"loop{at}-{n}", itertools.count(1)))
            for n in range(_WRITERS)
        ]
        await write_and_tell(manager, session_ids, f"loop{at}", range(1, _OWN + 1))
        del writers  # asyncio.run() cancels them

    with ThreadPoolExecutor(at_once) as threads:
        for ended in [threads.submit(lambda at=at: asyncio.run(traffic(at))) for at in range(times)]:  # type: ignore[misc]
            ended.result()


def main(kind: str, times: str, url: str, *session_ids: str) -> None:
    storage = open_storage(url)
    manager = sessions_of(storage)
    if kind == "forks":
        fork_under_traffic(manager, int(times), session_ids)
    else:
        end_loops_under_traffic(manager, int(times), session_ids, at_once=_AT_ONCE if kind == "threads" else 1)
    asyncio.run(storage.close())


if __name__ == "__main__":
    main(*sys.argv[1:])
