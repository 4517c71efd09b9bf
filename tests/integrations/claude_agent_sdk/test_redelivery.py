"""Batches that are delivered again: each entry is there once, and the summary is that of the transcript."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from claude_agent_sdk import fold_session_summary
from claude_agent_sdk.types import SessionStoreEntry
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionstore import MemoryStorageProvider, StorageProvider, open_storage
from sessionstore.integrations.claude_agent_sdk import StoredSessionStore
from sessionstore.storage import Document, Key, Window

from .entries import entry, key, title, uuids


async def summary_is_that_of_the_transcript(store: StoredSessionStore) -> None:
    """The summary is what the SDK makes of the entries that load() returns."""
    loaded = await store.load(key())
    summaries = await store.list_session_summaries("p")
    if loaded is None:
        assert summaries == []
        return
    (summary,) = summaries
    assert summary["data"] == fold_session_summary(None, key(), loaded)["data"]


async def test_a_batch_that_comes_again_is_appended_once(storage: StorageProvider) -> None:
    store = StoredSessionStore(storage)
    for subpath in (None, "subagents/agent-1"):
        batch = [entry("a"), entry("b"), entry("a")]
        for again in (batch, batch, [*batch, entry("c")], [entry("c"), entry("d")]):
            await store.append(key(subpath=subpath), again)
        assert uuids(await store.load(key(subpath=subpath))) == ["a", "b", "c", "d"]


async def test_entries_without_an_id_are_appended_each_time(storage: StorageProvider) -> None:
    store = StoredSessionStore(storage)
    for _ in range(2):
        await store.append(key(), [title("t"), {"type": "x", "uuid": ""}, {"type": "x", "uuid": None}])  # type: ignore[typeddict-item]
    assert len(await store.load(key()) or []) == 6


async def test_an_old_batch_that_comes_again_changes_no_summary(storage: StorageProvider) -> None:
    store = StoredSessionStore(storage)
    old = [entry("a", gitBranch="main"), entry("b", gitBranch="main")]
    await store.append(key(), old)
    await store.append(key(), [entry("c", gitBranch="feature")])
    await store.append(key(), [*old, entry("d")])
    (summary,) = await store.list_session_summaries("p")
    assert summary["data"]["git_branch"] == "feature"
    assert uuids(await store.load(key())) == ["a", "b", "c", "d"]
    await summary_is_that_of_the_transcript(store)


async def test_one_id_may_be_in_several_transcripts(storage: StorageProvider) -> None:
    store = StoredSessionStore(storage)
    subpaths = [None, "a", "b", "a/b", "~", "a~b"]
    for subpath in subpaths:
        for session in ("s", "t"):
            await store.append(key("p", session, subpath), [entry("a"), entry("b"), entry("a/b")])
    for subpath in subpaths:
        assert uuids(await store.load(key(subpath=subpath))) == ["a", "b", "a/b"]


async def test_the_entries_of_a_deleted_transcript_may_come_again(storage: StorageProvider) -> None:
    store = StoredSessionStore(storage)
    for subpath in (None, "subagents/agent-1"):
        for _ in range(2):
            await store.append(key(subpath=subpath), [entry("a")])
            assert uuids(await store.load(key(subpath=subpath))) == ["a"]
            await store.delete(key(subpath=subpath))
            assert await store.load(key(subpath=subpath)) is None


@pytest.mark.parametrize("number", [2, 8])
async def test_batches_that_several_callers_send_at_once_are_appended_once(
    storage: StorageProvider, number: int
) -> None:
    stores = [StoredSessionStore(storage) for _ in range(number)]
    batches = [[entry(f"{n}.{at}", gitBranch=f"{n}") for at in range(3)] for n in range(6)]
    sent = [store.append(key(), list(batch)) for batch in batches for store in stores]
    await asyncio.gather(*sent)
    found = uuids(await stores[0].load(key()))
    assert sorted(found) == sorted(it["uuid"] for batch in batches for it in batch)
    assert all(found[at : at + 3] == [f"{found[at][0]}.{n}" for n in range(3)] for at in range(0, 18, 3))
    await summary_is_that_of_the_transcript(stores[0])


async def test_a_batch_that_another_caller_appends_after_the_look_changes_no_summary() -> None:
    class Storage(MemoryStorageProvider):
        async def get(
            self, key: Key, *, touch: bool = True, owner_id: str | None = None, window: Window | None = None
        ) -> Document | None:
            found = await super().get(key, touch=touch, owner_id=owner_id, window=window)
            if window is not None and window.ids is not None:
                batches, overtaking[:] = [*overtaking], []
                for it in batches:
                    await other.append(transcript, it)
            return found

    overtaking: list[list[SessionStoreEntry]] = []
    transcript, storage = key(), Storage()
    other = StoredSessionStore(storage)
    await other.append(transcript, [entry("x", gitBranch="main")])
    batch = [entry("a", gitBranch="old"), entry("b", gitBranch="old")]
    overtaking += [batch, [entry("c", gitBranch="new")]]
    await StoredSessionStore(storage).append(transcript, batch)
    assert overtaking == []
    assert uuids(await other.load(transcript)) == ["x", "a", "b", "c"]
    (summary,) = await other.list_session_summaries("p")
    assert summary["data"]["git_branch"] == "new"


async def test_an_append_that_is_cancelled_lands_whole_or_not_at_all(shared_url: str) -> None:
    async with open_storage(shared_url) as storage:
        store = StoredSessionStore(storage)
        for number in range(40):
            session = key(session=f"{number % 4}")
            batch = [entry(f"{number}.{at}", gitBranch=f"{number}") for at in range(3)]
            append = asyncio.create_task(store.append(session, batch))
            for _ in range(number):
                await asyncio.sleep(0)
            append.cancel()
            await asyncio.wait([append])
            if number % 3 == 0:
                await store.append(session, batch)
        for summary in await store.list_session_summaries("p"):
            loaded = await store.load(key(session=summary["session_id"]))
            assert loaded is not None
            found = uuids(loaded)
            assert len(set(found)) == len(found)
            assert [it.partition(".")[2] for it in found] == ["0", "1", "2"] * (len(found) // 3)
            assert summary["data"] == fold_session_summary(None, key(), loaded)["data"]


_ENTRIES = st.builds(
    lambda uuid, more: {"type": "user", **({} if uuid is None else {"uuid": uuid}), **more},
    st.none() | st.sampled_from("abcdefgh"),
    st.fixed_dictionaries(
        {},
        optional={
            "gitBranch": st.sampled_from(["main", "feature"]),
            "customTitle": st.sampled_from(["one", "two"]),
            "lastPrompt": st.text(max_size=3),
            "cwd": st.sampled_from(["/a", "/b"]),
            "timestamp": st.sampled_from(["2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "?"]),
            "isSidechain": st.booleans(),
            "message": st.builds(lambda text: {"content": text}, st.text(max_size=9)),
            "type": st.sampled_from(["user", "tag", "assistant"]),
            "tag": st.sampled_from(["", "t", "u"]),
        },
    ),
)


@settings(max_examples=int(os.environ.get("SESSIONSTORE_TEST_SCALE", "1")) * 100, deadline=None)
@given(st.lists(st.lists(_ENTRIES, max_size=4) | st.just("delete"), max_size=8))
def test_the_summary_is_always_that_of_the_transcript(program: list[Any]) -> None:
    async def run() -> None:
        store = StoredSessionStore(MemoryStorageProvider())
        held: list[Any] = []
        for step in program:
            if step == "delete":
                await store.delete(key())
                held = []
            else:
                batch: list[SessionStoreEntry] = step
                await store.append(key(), batch)
                for it in batch:
                    if "uuid" not in it or it["uuid"] not in [other.get("uuid") for other in held]:
                        held.append(it)
            assert await store.load(key()) == (held or None)
            await summary_is_that_of_the_transcript(store)

    asyncio.run(run())
