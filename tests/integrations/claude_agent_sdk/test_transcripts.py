"""Transcripts come back as they were appended: long ones, of any text, under keys of any text."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionstore import MemoryStorageProvider, SessionManager, StorageError, StorageProvider
from sessionstore.integrations.claude_agent_sdk import StoredSessionStore
from sessionstore.storage import Document, Key, Window
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.support.documents import TTL

from .entries import entry, key, title, uuids

_NAMES = ["", "p", "p/s", "p%", "~", "%2F", "\0", "\ud800", "\U0001f600", "a" * 300, "a" * 299 + "b", "subagents/\n"]
_ENTRY: dict[str, Any] = {
    "type": "user",
    "uuid": "\0\ud800",
    "z": [1, 1.0, 1e16, -0.0, 10**40, None, True, {"b": 1, "a": [[]]}],
    "a": "\0 \ud800 \u2028 \U0001f600",
    "message": {"content": "hello \0\ud800"},
    "lastPrompt": "\0\ud800",
}


async def test_entries_come_back_character_by_character(storage: StorageProvider) -> None:
    store = StoredSessionStore(storage)
    for subpath in (None, "subagents/agent-1"):
        for _ in range(2):
            await store.append(key(subpath=subpath), [_ENTRY])  # type: ignore[list-item]
        (found,) = await store.load(key(subpath=subpath)) or []
        assert json.dumps(found) == json.dumps(_ENTRY)
    (summary,) = await store.list_session_summaries("p")
    assert (summary["data"]["last_prompt"], summary["data"]["first_prompt"]) == ("\0\ud800", "hello \0\ud800")


async def test_keys_of_any_text_are_kept_apart(storage: StorageProvider) -> None:
    store = StoredSessionStore(storage)
    for project in _NAMES:
        for session in _NAMES:
            await store.append(key(project, session), [entry(f"{project}|{session}")])
    for project in _NAMES:
        assert sorted(it["session_id"] for it in await store.list_sessions(project)) == sorted(_NAMES)
        for session in _NAMES:
            assert uuids(await store.load(key(project, session))) == [f"{project}|{session}"]
    for subpath in filter(None, _NAMES):
        await store.append(key("p", "s", subpath), [entry(subpath)])
    for subpath in filter(None, _NAMES):
        assert uuids(await store.load(key("p", "s", subpath))) == [subpath]
    assert sorted(await store.list_subkeys({"project_key": "p", "session_id": "s"})) == sorted(filter(None, _NAMES))
    await store.delete(key("p", "s", "a" * 300))
    left = await store.list_subkeys({"project_key": "p", "session_id": "s"})
    assert sorted(left) == sorted(name for name in _NAMES if name and name != "a" * 300)


async def test_a_subpath_that_is_empty_or_none_is_the_main_transcript(storage: StorageProvider) -> None:
    store = StoredSessionStore(storage)
    nothing: Any = {**key(), "subpath": None}
    for transcript in (key(), key(subpath=""), nothing):
        await store.append(transcript, [entry("a")])
        assert uuids(await store.load(transcript)) == ["a"]
    assert await store.list_subkeys({"project_key": "p", "session_id": "s"}) == []
    await store.delete(nothing)
    assert await store.load(key()) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(), min_size=1), unique=True, max_size=5))
def test_subpaths_of_any_text_are_listed(subpaths: list[str]) -> None:
    async def run() -> None:
        store = StoredSessionStore(MemoryStorageProvider())
        for subpath in subpaths:
            await store.append(key(subpath=subpath), [entry("a")])
        assert sorted(await store.list_subkeys({"project_key": "p", "session_id": "s"})) == sorted(subpaths)
        assert [uuids(await store.load(key(subpath=subpath))) for subpath in subpaths] == [["a"]] * len(subpaths)

    asyncio.run(run())


@pytest.mark.parametrize("count", [199, 200, 201, 1000])
async def test_a_long_transcript_is_loaded_whole(storage: StorageProvider, count: int) -> None:
    store = StoredSessionStore(storage)
    await store.append(key(), [entry(str(number)) for number in range(count)])
    await store.append(key(subpath="a"), [entry("of the subagent")])
    assert uuids(await store.load(key())) == [str(number) for number in range(count)]


async def test_a_transcript_that_is_written_anew_while_it_is_loaded_is_not_mixed_with_the_old_one() -> None:
    class Storage(MemoryStorageProvider):
        pages = 0

        async def get(
            self, key: Key, *, touch: bool = True, owner_id: str | None = None, window: Window | None = None
        ) -> Document | None:
            found = await super().get(key, touch=touch, owner_id=owner_id, window=window)
            self.pages += 1
            if self.pages == 1:
                await rewrite()
            return found

    async def rewrite() -> None:
        await other.delete(transcript)
        await other.append(transcript, [entry(f"new {number}") for number in range(300)])

    for transcript in (key(), key(subpath="a")):
        storage = Storage()
        other = StoredSessionStore(storage)
        await other.append(key(subpath="b"), [entry("other")])
        await other.append(transcript, [entry(f"old {number}") for number in range(300)])
        storage.pages = 0
        assert uuids(await other.load(transcript)) == [f"new {number}" for number in range(300)]


async def test_an_expired_session_is_gone_and_an_access_keeps_it(storage: StorageProvider, clock: ManualClock) -> None:
    store = StoredSessionStore(storage, ttl=TTL)
    agent = key(subpath="subagents/agent-1")
    await store.append(key(), [title("t")])
    for touch in (store.load(key()), store.append(agent, [entry("a")]), store.load(agent)):
        clock.advance(TTL * 0.9)
        await touch
    clock.advance(TTL * 1.2)
    assert (await store.load(key()), await store.load(agent), await store.list_sessions("p")) == (None, None, [])
    assert await store.list_subkeys({"project_key": "p", "session_id": "s"}) == []
    await store.delete(agent)
    await store.append(key(), [entry("b")])
    assert uuids(await store.load(key())) == ["b"]
    (summary,) = await store.list_session_summaries("p")
    assert "custom_title" not in summary["data"]


async def test_a_session_without_a_ttl_stays(storage: StorageProvider, clock: ManualClock) -> None:
    store = StoredSessionStore(storage, ttl=None)
    await store.append(key(), [entry("a")])
    clock.advance(TTL * 10_000)
    assert uuids(await store.load(key())) == ["a"]


async def test_all_sessions_of_a_project_are_erased_by_their_owner(storage: StorageProvider) -> None:
    store = StoredSessionStore(storage)
    for project in ("p", "q"):
        await store.append(key(project, "main"), [entry("a")])
        await store.append(key(project, "sub", "a"), [entry("a")])
        await store.append(key(project, "odd", "a" * 300), [entry("a")])
    sessions: SessionManager[Any] = SessionManager(lambda _: {}, storage, "claude-agent-sdk")
    assert await sessions.delete_sessions(owner_id="p") == 3
    assert [len(await store.list_sessions(project)) for project in ("p", "q")] == [0, 1]


async def test_an_outage_is_raised_and_no_missing_session() -> None:
    storage = MemoryStorageProvider()
    store = StoredSessionStore(storage)
    await store.append(key(), [entry("a")])
    await storage.close()
    calls = [
        store.append(key(), [entry("b")]),
        store.append(key(subpath="a"), [entry("b")]),
        store.load(key()),
        store.list_sessions("p"),
        store.list_session_summaries("p"),
        store.delete(key()),
        store.delete(key(subpath="a")),
        store.list_subkeys({"project_key": "p", "session_id": "s"}),
    ]
    for call in calls:
        with pytest.raises(StorageError):
            await call
