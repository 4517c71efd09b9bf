"""What type checkers make of `sessionstore.sync`; see examples.py."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

from pydantic import JsonValue, TypeAdapter
from sqlalchemy.ext.asyncio import AsyncEngine

import sessionstore
from sessionstore.sync import (
    Item,
    MemoryStorageProvider,
    OrchestrationState,
    OrchestrationStateManager,
    Reaper,
    ReapReport,
    SessionManager,
    SessionPage,
    SessionResult,
    SqlStorageProvider,
    StorageProvider,
    open_storage,
)

from .states import (
    Basket,
    Chat,
    change_of_another_state,
    changed_in_place,
    changed_later,
    counted,
    new_basket,
    new_chat,
    new_document,
    replaced,
    replaced_by_all_means,
    replaced_or_not,
)


def a_manager_carries_the_type_of_its_state(storage: StorageProvider) -> None:
    chats = SessionManager(new_chat, storage, namespace="chat", state_type=Chat)
    assert_type(chats, SessionManager[Chat])
    result = chats.create_session(origin={"user": "u1", "tags": [1, 2.5, None]}, owner_id="u1", ttl=None)
    assert_type(result, SessionResult[Chat])
    assert_type(result.unwrap(), Chat)
    assert_type(chats.get_session("s", touch=False, timeout=timedelta(seconds=1)), SessionResult[Chat])
    assert_type(chats.update_session("s", changed_in_place, expected_version=1), SessionResult[Chat])
    assert_type(chats.update_session("s", replaced), SessionResult[Chat])
    assert_type(chats.update_session("s", replaced_or_not), SessionResult[Chat])
    assert_type(chats.update_session("s", replaced_by_all_means), SessionResult[Chat])
    assert_type(chats.delete_session("s"), SessionResult[bool])
    assert_type(chats.delete_sessions(owner_id="u1"), int)
    assert_type(chats.list_sessions(), SessionPage[Chat])
    assert_type(chats.fork_session("s"), SessionResult[Chat])
    chats.update_session("s", counted)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    chats.update_session("s", changed_later)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    chats.update_session("s", change_of_another_state)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def items_carry_their_type(storage: StorageProvider) -> None:
    plain = SessionManager(new_document, storage)
    assert_type(plain, SessionManager[dict[str, JsonValue]])
    assert_type(plain.get_items("s").items, tuple[Item[JsonValue], ...])
    typed = SessionManager(new_chat, storage, item_type=Basket)
    assert_type(typed, SessionManager[Chat, Basket])
    assert_type(typed.append_items("s", [new_basket("b")]), SessionResult[None, Basket])
    assert_type(typed.pop_items("s").items, tuple[Item[Basket], ...])
    assert_type(SessionManager(new_chat, storage, state_type=TypeAdapter(Chat)), SessionManager[Chat])
    typed.append_items("s", ["text"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def storages_are_context_managers(engine: AsyncEngine) -> None:
    with open_storage("memory://") as storage:
        assert_type(storage, StorageProvider)
        storage.check(use="readonly")
    with MemoryStorageProvider(batching=None) as memory, SqlStorageProvider(engine, schema=None) as sql:
        assert_type(memory.purge_expired(), int)
        SessionManager(new_chat, sql)
    StorageProvider(sessionstore.MemoryStorageProvider())


def the_two_apis_do_not_mix(storage: StorageProvider, asynchronous: sessionstore.StorageProvider) -> None:
    SessionManager(new_chat, asynchronous)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Reaper(asynchronous)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sessionstore.SessionManager(new_chat, storage)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def orchestration_and_reaper(storage: StorageProvider) -> None:
    states = OrchestrationStateManager(storage, ttl=None)
    assert_type(states.get_state("s"), OrchestrationState | None)
    assert_type(states.get_or_create_state(), OrchestrationState)
    reaper = Reaper(storage, pace=1.0)
    assert_type(reaper.run_once(dry_run=True), ReapReport)
    with reaper.every(timedelta(minutes=1)) as nothing:
        assert_type(nothing, None)
