"""What a type checker makes of the adapter, as tests/typing/examples.py."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import assert_type

from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationEntry, ConversationRecord, ConversationStore

from sessionstore import MemoryStorageProvider
from sessionstore.integrations.pydantic_ai import StoredConversationStore


async def is_a_conversation_store(agent: Agent) -> None:
    store: ConversationStore = StoredConversationStore(
        MemoryStorageProvider(), namespace="chat", ttl=timedelta(days=30), max_message_bytes=1_000_000
    )
    conversation = await store.load("c1", scope="alice")
    assert_type(conversation, Conversation | None)
    result = await agent.run("hello", conversation=conversation)
    assert_type(await store.save(result, scope="alice"), list[ConversationEntry])


async def has_the_primitives(store: StoredConversationStore) -> None:
    record = await store.read_record("c1")
    assert_type(record, ConversationRecord | None)
    assert_type(await store.read_records(limit=3), Sequence[ConversationRecord])
    assert_type(await store.read_entry("e1"), ConversationEntry)
    assert_type(await store.read_history("e1"), list[ConversationEntry])
