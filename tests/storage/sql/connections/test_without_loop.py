"""A call where no event loop of asyncio runs, as under trio, is a ConfigurationError that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from sessionstore import ConfigurationError, Reaper, SessionManager, StorageProvider, open_storage
from sessionstore.testing.support.documents import Chat, draft, increment, key, new_chat

from .silence import empty_place

Make: TypeAlias = Callable[[SessionManager[Chat], StorageProvider], Coroutine[Any, Any, object]]

TIMEOUT = timedelta(seconds=5)

CALLS: dict[str, Make] = {
    "create_session": lambda chats, _: chats.create_session("s"),
    "create_session in time": lambda chats, _: chats.create_session("s", timeout=TIMEOUT),
    "get_session": lambda chats, _: chats.get_session("s"),
    "get_session in time": lambda chats, _: chats.get_session("s", timeout=TIMEOUT),
    "update_session": lambda chats, _: chats.update_session("s", increment),
    "update_session in time": lambda chats, _: chats.update_session("s", increment, timeout=TIMEOUT),
    "update_session with a key": lambda chats, _: chats.update_session("s", increment, idempotency_key="k"),
    "delete_session": lambda chats, _: chats.delete_session("s"),
    "delete_session in time": lambda chats, _: chats.delete_session("s", timeout=TIMEOUT),
    "fork_session": lambda chats, _: chats.fork_session("s", "t"),
    "list_sessions": lambda chats, _: chats.list_sessions(timeout=TIMEOUT),
    "append_items": lambda chats, _: chats.append_items("s", [1]),
    "append_items in time": lambda chats, _: chats.append_items("s", [1], create=True, timeout=TIMEOUT),
    "get_items": lambda chats, _: chats.get_items("s", timeout=TIMEOUT),
    "pop_items": lambda chats, _: chats.pop_items("s", timeout=TIMEOUT),
    "reaper": lambda _, storage: Reaper(storage).run_once(),
    "reaper beside a service": lambda _, storage: Reaper(storage).every(TIMEOUT).__aenter__(),
    "create of the storage": lambda _, storage: storage.create(draft()),
    "get of the storage": lambda _, storage: storage.get(key()),
    "stats of the storage": lambda _, storage: storage.stats(),
    "check of the storage": lambda _, storage: storage.check(),
}


@pytest.fixture(params=["memory", "sqlite", "psycopg", "asyncpg"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_place(request, tmp_path)


def outcome(call: Callable[[], Coroutine[Any, Any, object]]) -> BaseException | None:
    """What a call raises where no event loop runs; None: it needs none."""
    running = call()
    try:
        running.send(None)
    except StopIteration:
        return None
    except BaseException as error:  # noqa: BLE001  # the test says which are right
        return error
    running.close()
    return AssertionError("the call waits for something")


@pytest.mark.parametrize("used", [False, True], ids=["never used", "used"])
async def test_each_call_without_an_event_loop_is_refused_with_what_to_do(place: str, *, used: bool) -> None:
    async with open_storage(place) as storage:
        chats = SessionManager(new_chat, storage)
        if used:
            await chats.create_session("s")

        for name, call in CALLS.items():
            error = await asyncio.to_thread(outcome, partial(call, chats, storage))
            if error is None and place == "memory://":
                continue  # an operation in memory needs no loop
            assert isinstance(error, ConfigurationError), name
            assert "asyncio.run()" in str(error), name


@pytest.mark.parametrize("used", [False, True], ids=["never used", "used"])
async def test_a_storage_is_closed_without_an_event_loop_or_says_what_to_do(place: str, *, used: bool) -> None:
    async with open_storage(place) as storage:
        if used:
            await SessionManager(new_chat, storage).create_session("s")

        error = await asyncio.to_thread(outcome, storage.close)

        if used and place != "memory://":
            assert isinstance(error, ConfigurationError)
        else:
            assert error is None
