"""A process that forks while a service opens, uses and closes connections of its own, and says what fails.

python -m tests.storage.sql.connections.opening FORKS URL

A child that hangs is ended after ten seconds: a thread of its parent was in the middle of a call of the library.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from contextlib import suppress

from sqlalchemy import NullPool
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore import SessionManager, SqlStorageProvider
from sessionstore.testing.support.documents import new_chat

from .children import forked

USERS = 3
SECONDS = 10.0


async def use(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SELECT 1")
        with suppress(SQLAlchemyError):
            await connection.exec_driver_sql("SELECT nothing")


async def give_up(engine: AsyncEngine) -> None:
    """Leaves in the middle of it, at once or a moment later."""
    for turns in range(6):
        task = asyncio.ensure_future(use(engine))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def main(forks: int, url: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool)  # which keeps no connection
    sessions = SessionManager(new_chat, SqlStorageProvider(engine), "forks")
    begun, enough = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    async def user() -> None:
        while not enough.is_set():
            await use(engine)

    async def leaver() -> None:
        while not enough.is_set():
            await give_up(engine)

    async def service() -> None:
        (await sessions.create_session("s")).unwrap()
        begun.set()
        await asyncio.gather(leaver(), *(user() for _ in range(USERS)))

    def serve() -> None:
        try:
            asyncio.run(service())
        except BaseException as error:
            errors.append(error)
            raise
        finally:
            begun.set()

    async def child() -> None:
        (await sessions.get_session("s")).unwrap()

    thread = threading.Thread(target=serve)
    thread.start()
    begun.wait()
    hung = failed = 0
    for _ in range(forks):
        pid = forked(child)
        deadline = time.monotonic() + SECONDS
        while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < deadline:
            time.sleep(0.002)
        if not ended[0]:
            hung += 1
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        failed += ended[1] != 0
    enough.set()
    thread.join()
    if hung or failed or errors:
        sys.exit(f"of {forks} children {hung} hung and {failed} failed; {errors}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
