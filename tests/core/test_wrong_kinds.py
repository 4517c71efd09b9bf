"""Arguments of another kind than they have to be: each is a ConfigurationError that names the argument."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import (
    ConfigurationError,
    MemoryStorageProvider,
    OrchestrationStateManager,
    Reaper,
    SessionManager,
    SqlStorageProvider,
)
from sessionstore.testing.support.documents import new_chat

URL = "sqlite+aiosqlite:///sessions.db"
ANYTHING: tuple[Any, ...] = (5, "x", b"x", 1.5, [], {}, object())


def made_of(value: Any) -> dict[str, Callable[[], object]]:
    """What makes something of the value, by the name that the error has."""
    storage = MemoryStorageProvider()
    return {
        "storage must be a storage provider": lambda: SessionManager(new_chat, value),
        "storage must be a storage provider, ": lambda: OrchestrationStateManager(value),
        "storage must be a storage provider, not": lambda: Reaper(value),
        "SqlStorageProvider takes an AsyncEngine": lambda: SqlStorageProvider(value),
        "batching must be a Batching": lambda: MemoryStorageProvider(batching=value),
        "batching must be a Batching or": lambda: SqlStorageProvider(create_async_engine(URL), batching=value),
        "grace must be a timedelta": lambda: Reaper(storage, grace=value),
        "batch_time must be a timedelta": lambda: Reaper(storage, batch_time=value),
    }


@pytest.mark.parametrize("value", ANYTHING, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("message", list(made_of(None)))
def test_a_wrong_argument_of_a_constructor_is_refused_by_its_name(message: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=message):
        made_of(value)[message]()


def test_an_engine_that_is_not_asynchronous_is_refused_by_its_class() -> None:
    for engine in (create_engine("sqlite://"), create_async_engine(URL).sync_engine):
        with pytest.raises(ConfigurationError, match=r"not sqlalchemy\.engine\.base\.Engine"):
            SqlStorageProvider(engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


Calls = dict[str, Callable[[Any], Awaitable[object]]]


def calls() -> Calls:
    storage = MemoryStorageProvider()
    chats = SessionManager(new_chat, storage)
    return {
        "touch": lambda value: chats.get_session("s", touch=value),
        "touch of items": lambda value: chats.get_items("s", touch=value),
        "prefix": lambda value: chats.list_sessions(prefix=value),
        "prefix to delete": lambda value: chats.delete_sessions(prefix=value),
        "dry_run": lambda value: Reaper(storage).run_once(dry_run=value),
        "time_budget": lambda value: Reaper(storage).run_once(time_budget=value),
    }


@pytest.mark.parametrize("value", [value for value in ANYTHING if value != "x"], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", list(calls()))
async def test_a_wrong_argument_of_a_call_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name.partition(' ')[0]} must be"):
        await calls()[name](value)


@pytest.mark.parametrize("size", [None, "x", 1.5, True, timedelta(1)], ids=repr)
def test_a_size_of_batches_that_is_no_whole_number_is_refused(size: Any) -> None:
    with pytest.raises(ConfigurationError, match="batch_size must be a number"):
        Reaper(MemoryStorageProvider(), batch_size=size)
