"""What `StoredSession` promises as an SDK session, on every provider."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from enum import StrEnum
from typing import Any

import psycopg
import pytest
from agents.memory import Session, SessionABC, SessionSettings

from sessionstore import (
    ConfigurationError,
    InvalidStateError,
    SessionManager,
    SessionOwnerError,
    StateTooLargeError,
    StorageProvider,
    StorageUnavailableError,
    open_storage,
)
from sessionstore.integrations.openai_agents import StoredSession
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import Database, dsn
from sessionstore.testing.support.documents import TTL
from tests.conftest import OpenAnother

from .conftest import Chat, contents, raw, said

HOSTILE = raw(
    {"z": 1, "a": {"b": [1, 2.0, -0.0, 1e16], "A": None}, "content": "a\0b \ud800 \u2028"},
    {"n": 10**400},
    {},
    {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64," + "A" * 3_000_000}]},
)


class Role(StrEnum):
    USER = "user"


async def test_a_stored_session_is_a_session_of_the_sdk(chat: Chat) -> None:
    session = chat("any")
    assert isinstance(session, Session)
    assert isinstance(session, SessionABC)
    assert session.session_id == "any"
    assert session.session_settings == SessionSettings()


async def test_a_conversation_begins_empty_and_is_created_by_its_first_item(
    chat: Chat, storage: StorageProvider
) -> None:
    chats: SessionManager[Any] = SessionManager(lambda _: {}, storage, "openai-agents")
    session = chat()
    assert await session.get_items() == []
    assert await session.pop_item() is None
    await session.clear_session()
    await session.add_items([])
    assert (await chats.list_sessions()).sessions == ()
    await session.add_items(said("a", "b"))
    await chat().add_items(said("c"))
    assert contents(await chat().get_items()) == ["a", "b", "c"]
    (listed,) = (await chats.list_sessions()).sessions
    assert (listed.session_id, listed.item_count) == ("chat", 3)


async def test_first_writes_at_once_lose_nothing_and_keep_each_call_together(
    chat: Chat, open_another: OpenAnother
) -> None:
    other = StoredSession("chat", await open_another(), ttl=TTL)
    writes = [
        (other if number % 2 else chat()).add_items(said(*(f"{number}.{part}" for part in range(3))))
        for number in range(20)
    ]
    await asyncio.gather(*writes)
    stored = contents(await chat().get_items())
    assert sorted(stored) == sorted(f"{number}.{part}" for number in range(20) for part in range(3))
    assert all([it[-1] for it in stored[at : at + 3]] == ["0", "1", "2"] for at in range(0, 60, 3))


async def test_each_item_is_popped_by_one_caller(chat: Chat, open_another: OpenAnother) -> None:
    other = StoredSession("chat", await open_another(), ttl=TTL)
    await chat().add_items(said(*map(str, range(20))))
    popped = await asyncio.gather(*((other if number % 2 else chat()).pop_item() for number in range(23)))
    assert sorted(contents([item for item in popped if item is not None]), key=int) == [*map(str, range(20))]
    assert await chat().get_items() == []
    await chat().add_items(said("new"))
    assert await chat().pop_item() == said("new")[0]


async def test_items_come_out_as_they_went_in(chat: Chat) -> None:
    await chat().add_items(HOSTILE)
    read = await chat().get_items()
    assert [json.dumps(item) for item in read] == [json.dumps(item) for item in HOSTILE]
    assert await chat().pop_item() == HOSTILE[-1]


async def test_values_that_json_converts_are_accepted_as_by_the_sdk(chat: Chat) -> None:
    await chat().add_items(raw({"role": Role.USER, "content": ("a", {1: "b"}), "n": True}))
    assert await chat().get_items() == raw({"role": "user", "content": ["a", {"1": "b"}], "n": True})


@pytest.mark.parametrize("bad", [float("nan"), object(), {1, 2}, b"bytes"], ids=lambda bad: type(bad).__name__)
async def test_an_item_that_is_no_json_is_refused_and_nothing_is_written(chat: Chat, bad: Any) -> None:
    with pytest.raises(InvalidStateError) as refused:
        await chat().add_items([*said("a"), *raw({"content": bad})])
    assert refused.value.path == "$[1].content"
    assert await chat().get_items() == []


async def test_an_item_has_a_largest_size(chat: Chat) -> None:
    await chat(max_item_bytes=50).add_items(said("short"))
    with pytest.raises(StateTooLargeError):
        await chat(max_item_bytes=50).add_items(said("x" * 50))


IDS = ["", "a", "a/b", "a%2Fb", "A", "é", "e\u0301", "\0", "\ud800", "\n", "x" * 300, "x" * 301, "🙂" * 5000, " a", "~"]


async def test_ids_of_any_text_are_conversations_apart(chat: Chat) -> None:
    for name in IDS:
        await chat(name).add_items(said(ascii(name)))
    for name in IDS:
        session = chat(name)
        assert session.session_id == name
        assert contents(await session.get_items()) == [ascii(name)]
    await chat("a").clear_session()
    assert [contents(await chat(name).get_items()) for name in IDS] == [
        [] if name == "a" else [ascii(name)] for name in IDS
    ]


@pytest.mark.parametrize("arguments", [{"session_id": 5}, {"session_id": None}, {"owner_id": 5}, {"ttl": timedelta(0)}])
async def test_arguments_that_cannot_work_are_refused(chat: Chat, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        chat(**arguments)


async def test_namespaces_are_apart(chat: Chat) -> None:
    await chat(namespace="one").add_items(said("1"))
    assert await chat(namespace="two").get_items() == []


@pytest.mark.parametrize(
    ("limit", "read"),
    [(None, "abcde"), (3, "cde"), (1, "e"), (5, "abcde"), (99, "abcde"), (2**70, "abcde"), (0, ""), (-1, "abcde")],
)
async def test_a_limit_reads_the_newest(chat: Chat, limit: int | None, read: str) -> None:
    await chat().add_items(said(*"abcde"))
    assert contents(await chat().get_items(limit)) == [*read]
    by_settings = chat(session_settings=SessionSettings(limit=limit))
    assert contents(await by_settings.get_items()) == [*read]
    assert contents(await by_settings.get_items(2)) == ["d", "e"]


async def test_settings_may_be_a_dict_and_change(chat: Chat) -> None:
    await chat().add_items(said(*"abcde"))
    session = chat(session_settings={"limit": 2})
    assert session.session_settings == SessionSettings(limit=2)
    assert contents(await session.get_items()) == ["d", "e"]
    session.session_settings = None
    assert contents(await session.get_items()) == [*"abcde"]
    with pytest.raises(TypeError, match="limitt"):
        chat(session_settings={"limitt": 2})


async def test_a_long_history_is_read_as_a_whole(chat: Chat) -> None:
    texts = [*map(str, range(20_000))]
    await chat().add_items(said(*texts))
    assert contents(await chat().get_items()) == texts


async def test_a_conversation_expires_and_begins_anew(chat: Chat, clock: ManualClock) -> None:
    await chat().add_items(said("old"))
    clock.advance(TTL * 0.9)
    assert contents(await chat().get_items()) == ["old"]
    clock.advance(TTL * 0.9)
    assert contents(await chat().get_items()) == ["old"]
    clock.advance(TTL * 1.2)
    assert await chat().get_items() == []
    assert await chat().pop_item() is None
    await chat().add_items(said("new"))
    assert contents(await chat().get_items()) == ["new"]


async def test_a_conversation_without_ttl_does_not_expire(chat: Chat, clock: ManualClock) -> None:
    await chat(ttl=None).add_items(said("old"))
    clock.advance(timedelta(days=10_000))
    assert contents(await chat().get_items()) == ["old"]


async def test_a_cleared_conversation_leaves_nothing(chat: Chat, storage: StorageProvider) -> None:
    chats: SessionManager[Any] = SessionManager(lambda _: {}, storage, "openai-agents")
    await chat().add_items(said("a", "b"))
    await chat().clear_session()
    assert await chat().get_items() == []
    assert (await chats.list_sessions()).sessions == ()
    await chat().add_items(said("c"))
    assert contents(await chat().get_items()) == ["c"]


OWNERS = ["ann", "", "o\nx", "x" * 400]


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: ascii(owner)[:8])
async def test_the_conversation_of_an_owner_is_nobody_elses(chat: Chat, owner: str) -> None:
    await chat(owner_id=owner).add_items(said("mine"))
    other = chat(owner_id="bob")
    assert await other.get_items() == []
    assert await other.pop_item() is None
    await other.clear_session()
    with pytest.raises(SessionOwnerError):
        await other.add_items(said("theirs"))
    assert contents(await chat(owner_id=owner).get_items()) == ["mine"]
    assert contents(await chat().get_items()) == ["mine"]


async def test_an_owners_conversations_are_listed_and_erased(chat: Chat, storage: StorageProvider) -> None:
    chats: SessionManager[Any] = SessionManager(lambda _: {}, storage, "openai-agents")
    for name, owner in (("c1", "ann"), ("c2", "ann"), ("c3", "bob")):
        await chat(name, owner_id=owner).add_items(said(name))
    listed = await chats.list_sessions(owner_id="ann")
    assert [(it.session_id, it.item_count) for it in listed.sessions] == [("c1", 1), ("c2", 1)]
    assert await chats.delete_sessions(owner_id="ann") == 2
    assert [await chat(name).get_items() for name in ("c1", "c2", "c3")] == [[], [], said("c3")]


@pytest.mark.parametrize("change", ["add", "pop", "clear"])
async def test_a_cancelled_change_has_ended_when_the_cancellation_is_raised(
    postgres: Database, driver: str, change: str
) -> None:
    url = postgres.url if driver == "psycopg" else postgres.asyncpg_url
    async with open_storage(url) as storage:
        session = StoredSession("chat", storage)
        await session.add_items(said("a"))
        changes = {"add": lambda: session.add_items(said("b")), "pop": session.pop_item, "clear": session.clear_session}
        with psycopg.connect(dsn(postgres.url)) as holder:
            holder.execute("SELECT FROM sessionstore.sessions FOR UPDATE")
            task: asyncio.Task[Any] = asyncio.ensure_future(changes[change]())
            for _ in range(3):
                _, waiting = await asyncio.wait({task}, timeout=0.05)
                assert waiting
                task.cancel()
            holder.rollback()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        after = {"add": ["a", "b"], "pop": [], "clear": []}
        assert contents(await session.get_items()) == after[change]


async def test_a_change_that_fails_after_it_was_cancelled_is_a_cancellation(chat: Chat) -> None:
    task: asyncio.Task[Any] = asyncio.ensure_future(chat().add_items(raw({"bad": object()})))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("call", ["get_items", "pop_item", "clear_session", "add_items"])
async def test_an_outage_is_no_empty_conversation(call: str) -> None:
    async with open_storage("postgresql+psycopg://nobody@127.0.0.1:1/none") as storage:
        session = StoredSession("chat", storage)
        arguments = [said("a")] if call == "add_items" else []
        with pytest.raises(StorageUnavailableError):
            await getattr(session, call)(*arguments)


def test_a_session_may_be_used_in_several_event_loops(shared_url: str) -> None:
    storage = open_storage(shared_url)
    session = StoredSession("chat", storage)

    async def turn(number: int) -> list[Any]:
        await session.add_items(said(str(number)))
        return contents(await session.get_items())

    for number in range(3):
        assert asyncio.run(turn(number)) == [*map(str, range(number + 1))]
    asyncio.run(storage.close())
