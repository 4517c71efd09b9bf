"""Read by the type checker, and not run."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

from claude_agent_sdk import ClaudeAgentOptions, SessionStore
from claude_agent_sdk.types import SessionStoreEntry, SessionStoreListEntry, SessionSummaryEntry

from sessionstore import MemoryStorageProvider, open_storage
from sessionstore.integrations.claude_agent_sdk import StoredSessionStore


async def _examples() -> None:
    async with open_storage("postgresql+psycopg://app@db/app") as storage:
        store = StoredSessionStore(storage, ttl=timedelta(days=30))
        ClaudeAgentOptions(session_store=store)
        of_the_protocol: SessionStore = store
        await of_the_protocol.append({"project_key": "p", "session_id": "s"}, [{"type": "user", "uuid": "u"}])
        assert_type(await store.load({"project_key": "p", "session_id": "s"}), list[SessionStoreEntry] | None)
        assert_type(await store.list_sessions("p"), list[SessionStoreListEntry])
        assert_type(await store.list_session_summaries("p"), list[SessionSummaryEntry])
        assert_type(await store.list_subkeys({"project_key": "p", "session_id": "s"}), list[str])
        await store.delete({"project_key": "p", "session_id": "s", "subpath": "subagents/agent-1"})
    StoredSessionStore(MemoryStorageProvider(), ttl=None, namespace="chat")
    StoredSessionStore(MemoryStorageProvider(), ttl=30)  # type: ignore[arg-type]
    StoredSessionStore("memory://")  # type: ignore[arg-type]
