"""Sessions are resumed and listed as with the SDK's own store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from claude_agent_sdk import ClaudeAgentOptions, fold_session_summary, project_key_for_directory
from claude_agent_sdk._internal.session_resume import materialize_resume_session
from claude_agent_sdk._internal.sessions import list_sessions_from_store

from sessionstore import StorageProvider
from sessionstore.integrations.claude_agent_sdk import StoredSessionStore
from sessionstore.testing.clock import ManualClock

from .entries import entry, key, title


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: StorageProvider) -> ClaudeAgentOptions:
    """The options of a service that continues its last conversation."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    directory = tmp_path / "project"
    directory.mkdir()
    store = StoredSessionStore(storage)
    return ClaudeAgentOptions(cwd=str(directory), session_store=store, continue_conversation=True)


async def _continued(options: ClaudeAgentOptions) -> str:
    resumed = await materialize_resume_session(options)
    assert resumed is not None
    await resumed.cleanup()
    return resumed.resume_session_id


async def test_the_conversation_that_was_changed_last_is_continued(
    options: ClaudeAgentOptions, clock: ManualClock
) -> None:
    store, project = options.session_store, project_key_for_directory(options.cwd)
    assert store is not None
    first, second = str(uuid4()), str(uuid4())
    for session in (first, second):
        await store.append(key(project, session), [entry("a")])
        clock.advance(timedelta(microseconds=1))  # within one millisecond, which is all that the SDK sees
    assert await _continued(options) == second
    await store.append(key(project, first), [entry("b")])
    assert await _continued(options) == first
    sidechain = str(uuid4())
    clock.advance(timedelta(seconds=1))
    await store.append(key(project, sidechain), [entry("a", isSidechain=True)])
    assert await _continued(options) == first


async def test_all_transcripts_of_a_session_are_laid_out_for_the_command(options: ClaudeAgentOptions) -> None:
    store, project = options.session_store, project_key_for_directory(options.cwd)
    assert store is not None
    session = str(uuid4())
    await store.append(key(project, session), [entry("a"), entry("b")])
    await store.append(key(project, session, "subagents/agent-1"), [entry("a")])
    await store.append(key(project, session, "subagents/workflows/run/agent-2"), [entry("a")])
    resumed = await materialize_resume_session(options)
    assert resumed is not None
    folder = resumed.config_dir / "projects" / project
    made = {str(file.relative_to(folder)): len(file.read_text().splitlines()) for file in folder.rglob("*.jsonl")}
    assert made == {
        f"{session}.jsonl": 2,
        f"{session}/subagents/agent-1.jsonl": 1,
        f"{session}/subagents/workflows/run/agent-2.jsonl": 1,
    }
    await resumed.cleanup()


async def test_sessions_are_listed_by_their_summaries_and_nothing_is_loaded(storage: StorageProvider) -> None:
    class Store(StoredSessionStore):
        async def load(self, key: Any) -> Any:
            raise AssertionError("loaded")

    store, project = Store(storage), project_key_for_directory(".")
    for number in range(5):
        await store.append(key(project, str(uuid4())), [entry("a"), title(f"title {number}")])
    listed = await list_sessions_from_store(store)
    assert sorted(info.summary for info in listed) == [f"title {number}" for number in range(5)]


async def test_a_session_that_only_a_subagent_wrote_to_is_not_listed(storage: StorageProvider) -> None:
    store = StoredSessionStore(storage)
    await store.append(key("p", "s", "subagents/agent-1"), [title("of the subagent")])
    assert await store.list_sessions("p") == await store.list_session_summaries("p") == []
    assert await store.load(key("p", "s")) is None
    await store.append(key("p", "s"), [title("of the session")])
    (summary,) = await store.list_session_summaries("p")
    assert summary["data"] == fold_session_summary(None, key("p", "s"), [title("of the session")])["data"]
    assert await store.list_subkeys({"project_key": "p", "session_id": "s"}) == ["subagents/agent-1"]
