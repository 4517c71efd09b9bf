"""A process that forks, and says what fails: python -m tests.storage.sql.connections.forking MODE WAY FORKS URL.

The modes are traffic, between, coroutine, executor, service and long.
Each child uses the storage of its parent in an event loop of its own, at once, and tells by its exit status and what it
prints. The parent goes on: under "traffic" in a thread beside the one that forks, else before and after the forks.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import (
    ConfigurationError,
    SessionManager,
    SqlStorageProvider,
    StorageProvider,
    StorageUnavailableError,
    open_storage,
)
from sessionstore.testing.support.documents import increment, new_chat
from tests.storage.sql.connections.children import CALLERS, UPDATES, Sessions, child, fork, warm


class Parent:
    """The traffic of the parent, and what its callers were told."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.applied = 0
        self.running = threading.Event()
        self.enough = threading.Event()
        self.errors: list[BaseException] = []

    def run(self) -> None:
        try:
            asyncio.run(self._traffic())
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self.running.set()

    async def _traffic(self) -> None:
        for at in range(CALLERS):
            (await self.sessions.create_session(f"mine{at}")).unwrap()
        (await self.sessions.create_session("shared")).unwrap()
        self.running.set()
        await asyncio.gather(*map(self._caller, range(CALLERS)))

    async def _caller(self, at: int) -> None:
        before = 0
        while not self.enough.is_set():
            state = (await self.sessions.update_session(f"mine{at}", increment)).unwrap()
            assert (state["id"], state["n"]) == (f"mine{at}", before + 1)
            before += 1
            assert (await self.sessions.get_session(f"mine{at}")).unwrap() == state
            (await self.sessions.update_session("shared", increment)).unwrap()
            self.applied += 1


def opened(way: str, url: str) -> StorageProvider:
    if way == "open_storage":
        return open_storage(url)
    return SqlStorageProvider(create_async_engine(url, pool_size=3, max_overflow=2))


def under_traffic(sessions: Sessions, forks: int, *, in_memory: bool) -> None:
    parent = Parent(sessions)
    thread = threading.Thread(target=parent.run)
    thread.start()
    parent.running.wait()
    failed = 0
    pids: list[int] = []
    for at in range(forks):
        pids.append(fork(sessions, f"child{at}", in_memory=in_memory))
        if len(pids) == 3:
            failed += sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)
            pids.clear()
    failed += sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)
    parent.enough.set()
    thread.join()

    async def total() -> int:
        return int((await sessions.get_session("shared")).unwrap()["n"])

    wanted = parent.applied + (0 if in_memory else (forks - failed) * UPDATES)
    found = asyncio.run(total()) if not parent.errors else -1
    if failed or parent.errors or found != wanted:
        sys.exit(f"{failed} children failed; {parent.errors}; {found} updates are there, {wanted} were acknowledged")


def between_runs(sessions: Sessions, forks: int, *, in_memory: bool) -> None:
    """The loop of the parent is open and its connections are idle. Its children end as any program does."""
    loop = asyncio.new_event_loop()
    ended = asyncio.new_event_loop()
    ended.run_until_complete(warm(sessions))
    ended.close()  # without a word to those who have connections in it
    for at in range(forks):
        loop.run_until_complete(warm(sessions))
        pid = os.fork()
        if pid == 0:
            asyncio.run(child(sessions, f"child{at}", in_memory=in_memory))
            sys.exit(0)
        status = os.waitpid(pid, 0)[1]
        if status:
            sys.exit(f"a child failed: {status}")
    loop.run_until_complete(warm(sessions))
    loop.close()


def in_a_coroutine(sessions: Sessions, storage: StorageProvider, forks: int, *, in_memory: bool) -> None:
    """A child that goes on in the copied coroutine has no event loop: it is told so, or needs none."""
    calls: Sequence[Callable[[], Awaitable[object]]] = (
        lambda: sessions.get_session("shared"),
        lambda: sessions.get_session("shared", timeout=timedelta(seconds=5)),
        lambda: sessions.update_session("shared", increment),
        lambda: sessions.update_session("shared", increment, timeout=timedelta(seconds=5)),
        lambda: sessions.create_session("other"),
        lambda: sessions.append_items("shared", [1]),
    )

    async def run() -> None:
        await warm(sessions)
        for _ in range(forks):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    for call in calls:
                        try:
                            await call()
                        except ConfigurationError:
                            continue
                        assert in_memory
                    await storage.close()
                    status = 0
                except BaseException:  # noqa: BLE001  # it is said, and the status tells
                    traceback.print_exc()
                os._exit(status)
            if os.waitpid(pid, 0)[1]:  # noqa: ASYNC222  # nothing else is to run meanwhile
                sys.exit("a child was told something else")
            await warm(sessions)

    asyncio.run(run())


_SHARED: list[Sessions] = []


def _in_worker(name: str, in_memory: bool) -> str:
    asyncio.run(child(_SHARED[0], name, in_memory=in_memory))
    return name


def in_an_executor(sessions: Sessions, forks: int, *, in_memory: bool) -> None:
    _SHARED.append(sessions)

    async def run() -> None:
        await warm(sessions)
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as workers:
            calls = [loop.run_in_executor(workers, _in_worker, f"child{at}", in_memory) for at in range(forks)]
            while not all(call.done() for call in calls):
                await warm(sessions)
                await asyncio.sleep(0)
            await asyncio.gather(*calls)

    asyncio.run(run())


def beside_the_service(url: str, forks: int, *, long: bool) -> None:
    """Forks in the middle of a statement of the service itself, on a connection that sessions had before."""
    engine = create_async_engine(url, pool_size=1, max_overflow=0)
    sessions = SessionManager(new_chat, SqlStorageProvider(engine))
    asyncio.run(warm(sessions))
    under_way, forked = threading.Event(), threading.Event()
    wait = partial(forked.wait, 20) if long else partial(time.sleep, 0.3)

    def pause() -> int:
        under_way.set()
        wait()
        return 1

    async def statement() -> None:
        async with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                raw: Any = await connection.get_raw_connection()
                await raw.driver_connection.create_function("pause", 0, pause)
                await connection.exec_driver_sql("SELECT pause()")
            else:
                under_way.set()
                await connection.exec_driver_sql("SELECT pg_sleep(0.3)")
        await engine.dispose()  # connections of asyncpg work in this loop only

    def refused() -> int:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                asyncio.run(asyncio.wait_for(sessions.get_session("shared"), 20))
            except StorageUnavailableError:
                status = 0
            finally:
                os._exit(status)
        return pid

    for at in range(forks):
        under_way.clear()
        forked.clear()
        thread = threading.Thread(target=lambda: asyncio.run(statement()))
        thread.start()
        under_way.wait()
        pid = refused() if long else fork(sessions, f"child{at}", in_memory=False)
        forked.set()
        deadline = time.monotonic() + 40
        while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < deadline:
            time.sleep(0.01)
        thread.join()
        if not ended[0]:
            os.kill(pid, signal.SIGKILL)
            sys.exit("a child hangs")
        if ended[1]:
            sys.exit(f"a child failed: {ended[1]}")
        asyncio.run(warm(sessions))
    asyncio.run(engine.dispose())


def main(mode: str, way: str, forks: int, url: str) -> None:
    if mode in {"service", "long"}:
        beside_the_service(url, forks, long=mode == "long")
        return
    in_memory = url == "memory://"
    storage = opened(way, url)
    sessions = SessionManager(new_chat, storage, "forks")
    if mode == "traffic":
        under_traffic(sessions, forks, in_memory=in_memory)
    elif mode == "between":
        between_runs(sessions, forks, in_memory=in_memory)
    elif mode == "coroutine":
        in_a_coroutine(sessions, storage, forks, in_memory=in_memory)
    else:
        in_an_executor(sessions, forks, in_memory=in_memory)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
