"""A process with many event loops, which says what goes wrong.

python -m tests.storage.sql.connections.looping in_turn|at_once WAY ENDING URL
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import SessionManager, SqlStorageProvider, StorageProvider, open_storage
from sessionstore.testing.support.documents import increment, new_chat

CALLERS = 40
LOOPS = 4


def run(main: Callable[[], Coroutine[Any, Any, Any]], ending: str) -> None:
    """Runs a coroutine in an event loop of its own, which ends in one of the ways in which loops end."""
    if ending == "uvloop":
        import uvloop

        uvloop.run(main())
    elif ending in {"run", "left"}:
        asyncio.run(main())
    elif ending == "eager":

        def factory() -> asyncio.AbstractEventLoop:
            loop = asyncio.new_event_loop()
            loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
            return loop

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())
    else:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()


async def traffic(sessions: SessionManager[dict[str, Any]]) -> None:
    async def caller(at: int) -> None:
        session_id = f"s{at % 7}"
        (await sessions.create_session(session_id)).unwrap()
        (await sessions.update_session(session_id, increment)).unwrap()
        (await sessions.get_session(session_id)).unwrap()

    await asyncio.gather(*map(caller, range(CALLERS)))


def opened(way: str, url: str) -> tuple[StorageProvider, AsyncEngine | None]:
    if way == "open_storage":
        return open_storage(url), None
    engine = create_async_engine(url, pool_size=3, max_overflow=1)
    return SqlStorageProvider(engine), engine


def sockets() -> int:
    return len(open_sockets())


def open_sockets() -> frozenset[str]:
    """The sockets of this process, each by the name that the system gives it once."""
    targets = map(_target, os.listdir("/proc/self/fd"))  # noqa: PTH208
    return frozenset(target for target in targets if target.startswith("socket:"))


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        return ""


def main(mode: str, way: str, ending: str, url: str) -> None:
    storage, engine = opened(way, url)
    sessions = SessionManager(new_chat, storage, "loops")
    if mode == "at_once":
        with ThreadPoolExecutor(LOOPS) as threads:
            for done in [threads.submit(run, lambda: traffic(sessions), ending) for _ in range(LOOPS)]:
                done.result()
    else:
        open_at_first = 0
        for at in range(LOOPS):
            run(lambda: traffic(sessions), ending)
            gc.collect()
            open_at_first = open_at_first or sockets()
            if at and sockets() > open_at_first + 4:
                sys.exit(f"sockets are left open: {open_at_first}, then {sockets()}")

    async def counted() -> int:
        pages = [(await sessions.get_session(f"s{at}")).unwrap()["n"] for at in range(7)]
        return sum(pages)

    async def check() -> None:
        if (total := await counted()) != CALLERS * LOOPS:
            sys.exit(f"updates are lost: {total}")

    run(check, ending)
    if ending != "left":
        asyncio.run(storage.close())
    if engine is not None:
        asyncio.run(engine.dispose())
    gc.collect()


if __name__ == "__main__":
    main(*sys.argv[1:])
