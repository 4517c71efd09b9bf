"""A process that drops storages without a call of close(), and says what goes wrong.

python -m tests.storage.sql.connections.dropping MODE WAY URL
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore import SessionManager, StorageProvider
from sessionstore.testing.support.documents import increment, new_chat

from .looping import open_sockets, opened, sockets

CALLERS: Final = 40
TURNS: Final = 2


async def traffic(storage: StorageProvider) -> None:
    sessions = SessionManager(new_chat, storage, "drops")

    async def caller(at: int) -> None:
        session_id = f"s{at % 7}"
        (await sessions.create_session(session_id)).unwrap()
        (await sessions.update_session(session_id, increment)).unwrap()
        (await sessions.get_session(session_id)).unwrap()

    await asyncio.gather(*map(caller, range(CALLERS)))


async def collected_here() -> None:
    gc.collect()


async def collected_in_thread() -> None:
    await asyncio.to_thread(gc.collect)


async def collected_by_other_loop() -> None:
    await asyncio.to_thread(asyncio.run, collected_here())


async def dropped(way: str, url: str, collect: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """The loop goes on after the storage is dropped."""
    before = sockets()
    for _ in range(TURNS):
        storage, engine = opened(way, url)
        await traffic(storage)
        if batches := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(batches)  # a batch answers its callers before it ends
        del storage
        await collect()
        if engine is not None:
            await end(engine)
            del engine
        await nothing_left(before, collect)


async def end(engine: AsyncEngine) -> None:
    """Uses and closes an engine, which the storage must have left alone."""
    async with engine.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT 1")).scalar() == 1
    await engine.dispose()


async def nothing_left(before: int, collect: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Waits until the sockets and the threads are gone. The process fails when they stay."""
    for _ in range(200):
        await collect()
        threads = [it for it in threading.enumerate() if "connection_worker" in it.name]
        if sockets() <= before + 2 and len(asyncio.all_tasks()) == 1 and not threads:
            return
        await asyncio.sleep(0.01)
    sys.exit(f"left behind: {sockets()} sockets, {asyncio.all_tasks()}, {threading.enumerate()}")


def in_loop(collect: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[str, str], None]:
    return lambda way, url: asyncio.run(dropped(way, url, collect))


def after_closed(way: str, url: str) -> None:
    """The loop is closed first, and the storage is dropped then."""
    for _ in range(TURNS):
        storage, _ = opened(way, url)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(traffic(storage))
        loop.close()
        del storage
        gc.collect()


def at_exit(way: str, url: str) -> None:
    """The process ends with a closed loop, with a loop that was stopped, and with both storages."""
    for closed in (True, False):
        storage, _ = opened(way, url)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(traffic(storage))
        if closed:
            loop.close()
        _KEPT.append((storage, loop))


def child_exits(way: str, url: str) -> None:
    """A forked child ends as a process does, with `atexit` and a garbage collection. The parent goes on."""
    storage, _ = opened(way, url)
    with asyncio.Runner() as runner:
        runner.run(traffic(storage))
        open_before = open_sockets()
        for _ in range(TURNS):
            if (child := os.fork()) == 0:
                del storage
                gc.collect()
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
        runner.run(traffic(storage))
        if closed := open_before - open_sockets():
            sys.exit(f"a child closed connections of its parent: {closed}")
        runner.run(storage.close())


def child_exits_in_calls(way: str, url: str) -> None:
    """Children are forked while calls are under way, and close the loop of their parent."""
    storage, _ = opened(way, url)
    sessions = SessionManager(new_chat, storage, "drops")

    async def caller(at: int) -> None:
        session_id = f"s{at % 7}"
        (await sessions.create_session(session_id)).unwrap()
        while True:
            (await sessions.update_session(session_id, increment)).unwrap()

    async def children() -> None:
        callers = [asyncio.create_task(caller(at)) for at in range(CALLERS)]
        await asyncio.wait(callers, timeout=0.2)
        for _ in range(TURNS):
            if (child := os.fork()) == 0:
                faulthandler.dump_traceback_later(20, exit=True)
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0  # noqa: ASYNC222  # nothing else is to run
        os._exit(0)  # the children closed this loop in the selector that they share with it

    with asyncio.Runner() as runner:
        runner.run(children())


def in_calls(*, closed: bool) -> Callable[[str, str], None]:
    """A loop that is stopped, or closed, while calls are under way. The storage is used in another loop then."""

    def ends(way: str, url: str) -> None:
        storage, engine = opened(way, url)
        sessions = SessionManager(new_chat, storage, "drops")

        async def caller(at: int) -> None:
            while True:
                (await sessions.create_session(f"s{at % 7}")).unwrap()
                (await sessions.update_session(f"s{at % 7}", increment)).unwrap()

        for seconds in (0.01, 0.05, 0.2):
            loop = asyncio.new_event_loop()
            callers = [loop.create_task(caller(at)) for at in range(CALLERS)]
            loop.run_until_complete(asyncio.wait(callers, timeout=seconds))
            for task in callers:  # those of the caller itself, of which asyncio tells
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
            if closed:
                loop.close()
            del loop, callers, task
            gc.collect()
            asyncio.run(traffic(storage))
            gc.collect()
        asyncio.run(storage.close())
        if engine is not None:
            asyncio.run(engine.dispose())

    return ends


_KEPT: Final[list[object]] = []

MODES: Final[Mapping[str, Callable[[str, str], None]]] = {
    "dropped": in_loop(collected_here),
    "dropped_in_thread": in_loop(collected_in_thread),
    "dropped_in_other_loop": in_loop(collected_by_other_loop),
    "after_closed": after_closed,
    "at_exit": at_exit,
    "child_exits": child_exits,
    "closed_in_calls": in_calls(closed=True),
    "stopped_in_calls": in_calls(closed=False),
    "child_exits_in_calls": child_exits_in_calls,
}


if __name__ == "__main__":
    MODES[sys.argv[1]](*sys.argv[2:])
