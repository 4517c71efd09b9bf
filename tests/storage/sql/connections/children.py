"""Children of a process that forks: each uses the storage of its parent in an event loop of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from sessionstore import SessionManager
from sessionstore.testing.support.documents import increment

Sessions: TypeAlias = SessionManager[dict[str, Any]]

CALLERS = 6
UPDATES = 3
"""How often a child updates the session that all share, and one of its own."""


async def child(sessions: Sessions, name: str, *, in_memory: bool) -> None:
    (await sessions.create_session(name)).unwrap()
    for n in range(1, UPDATES + 1):
        assert (await sessions.update_session(name, increment)).unwrap()["n"] == n
        state = (await sessions.get_session(name)).unwrap()
        assert (state["id"], state["n"]) == (name, n)
        if not in_memory:
            (await sessions.update_session("shared", increment)).unwrap()
    others = await asyncio.gather(*(sessions.get_session(f"mine{at}") for at in range(CALLERS)))
    assert [other.unwrap()["id"] for other in others] == [f"mine{at}" for at in range(CALLERS)]


def fork(sessions: Sessions, name: str, *, in_memory: bool) -> int:
    return forked(lambda: child(sessions, name, in_memory=in_memory))


def forked(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Forks a child that does this in an event loop of its own, within a minute, and ends; its process id."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            asyncio.run(asyncio.wait_for(work(), 60))
            status = 0
        except BaseException:  # noqa: BLE001  # it is said, and the status tells
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid


async def warm(sessions: Sessions) -> None:
    names = [*(f"mine{at}" for at in range(CALLERS)), "shared"]
    created = await asyncio.gather(*map(sessions.create_session, names))
    assert all(result.success for result in created)
