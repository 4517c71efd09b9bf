"""The same programs on pydantic-ai's own store and on ours."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    InMemoryConversationStore,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.tools import DeferredToolRequests
from pydantic_ai.usage import RunUsage

from sessionstore import open_storage
from sessionstore.integrations.pydantic_ai import StoredConversationStore
from sessionstore.testing.clock import START, ManualClock
from sessionstore.testing.support.scale import scaled

from .compared import Compared

IDS = ["c1", "c2", "c3", "c/4~%", "", "\x00\ud800", "long" * 100]
SCOPES = [None, "alice", "bob", "", "\x00/\udfff"]
WHICH = st.integers(0, 1000)
TEXTS = st.sampled_from(["hello", "", "\x00", "half \ud83d", "é🙂", "x" * 500])


def _said(text: str, *, by_user: bool) -> ModelMessage:
    if by_user:
        return ModelRequest(parts=[UserPromptPart(content=text, timestamp=START)])
    call = ToolCallPart("tool", {"z": text, "a": 10**30, "f": 1e16}, tool_call_id="t")
    return ModelResponse(parts=[TextPart(content=text), call], timestamp=START)


MESSAGES = st.builds(_said, TEXTS, by_user=st.booleans())


class Program(RuleBasedStateMachine):
    """Saves, loads, branches, forks and deletes; also what only the primitives of a store can do."""

    conversations = Bundle("conversations")
    ids = Bundle("ids")

    def __init__(self, runner: asyncio.Runner, store: StoredConversationStore, clock: ManualClock) -> None:
        super().__init__()
        self._runner = runner
        self._clock = clock
        self._oracle = InMemoryConversationStore()
        self._store = Compared(self._oracle, store)
        self._revisions: list[str] = ["never"]
        self._entries: list[str | None] = [None]

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        """What the call returned; None if it was refused, by both stores."""
        self._clock.advance(timedelta(milliseconds=1))
        try:
            return self._runner.run(call)
        except (ConversationConflict, UserError, LookupError) as error:
            event(type(error).__name__)
            return None

    @initialize(target=ids, first=st.sampled_from(IDS[:2]), second=st.sampled_from(IDS[2:]))
    def some_ids(self, first: str, second: str) -> Any:
        return multiple(first, second)

    @rule(target=conversations, conversation_id=ids, said=st.lists(MESSAGES, max_size=4), scope=st.sampled_from(SCOPES))
    def starts(self, conversation_id: str, said: list[ModelMessage], scope: str | None) -> Conversation:
        conversation = Conversation(conversation_id=conversation_id, messages=said)
        self.run(self._store.save(conversation, scope=scope))
        return conversation

    @rule(target=conversations, conversation_id=ids, limit=st.none() | st.integers(0, 4), scope=st.sampled_from(SCOPES))
    def loads(self, conversation_id: str, limit: int | None, scope: str | None) -> Any:
        loaded = self.run(self._store.load(conversation_id, limit=limit, scope=scope))
        return multiple() if loaded is None else loaded

    @rule(
        conversation=conversations,
        said=st.lists(MESSAGES, max_size=3),
        scope=st.sampled_from(SCOPES),
        waits=st.booleans(),
    )
    def goes_on(self, conversation: Conversation, said: list[ModelMessage], scope: str | None, waits: bool) -> None:
        conversation.messages.extend(said)
        conversation.usage = conversation.usage + RunUsage(requests=1, input_tokens=3, details={"\x00": 1})
        call = ToolCallPart("tool", {"text": "\x00\ud800"}, tool_call_id="t")
        conversation.deferred_tool_requests = DeferredToolRequests(approvals=[call]) if waits else None
        self.run(self._store.save(conversation, scope=scope))

    @rule(conversation=conversations, at=st.integers(0, 5), said=MESSAGES, knows=st.booleans())
    def rewrites(self, conversation: Conversation, at: int, said: ModelMessage, knows: bool) -> None:
        conversation.messages[at:] = [said]
        if not knows:
            conversation.new_message_index = None
        self.run(self._store.save(conversation))

    @rule(target=conversations, conversation=conversations, at=st.integers(0, 6))
    def branches(self, conversation: Conversation, at: int) -> Any:
        call = self._store.branch(conversation.conversation_id, at=at, expected_revision=conversation.revision)
        return self.run(call) or multiple()

    @rule(target=conversations, conversation=conversations, which=WHICH)
    def branches_back(self, conversation: Conversation, which: int) -> Any:
        entry_id = self._some_entry(which)
        call = self._store.branch(
            conversation.conversation_id, from_entry=entry_id, expected_revision=conversation.revision
        )
        return self.run(call) or multiple()

    @rule(
        target=conversations,
        source=ids,
        fork=ids,
        at=st.none() | st.integers(0, 6),
        scope=st.sampled_from(SCOPES),
    )
    def forks(self, source: str, fork: str, at: int | None, scope: str | None) -> Any:
        forked = self.run(self._store.fork(source, at=at, new_conversation_id=fork, scope=scope))
        return multiple() if forked is None else forked

    @rule(target=conversations, source=ids, fork=ids, which=WHICH)
    def forks_from_entry(self, source: str, fork: str, which: int) -> Any:
        call = self._store.fork(source, from_entry=self._some_entry(which), new_conversation_id=fork)
        return self.run(call) or multiple()

    @rule(conversation_id=ids, scope=st.sampled_from(SCOPES))
    def deletes(self, conversation_id: str, scope: str | None) -> None:
        self.run(self._store.delete(conversation_id, scope=scope))

    @rule(conversation_id=ids, which=WHICH)
    def deletes_by_revision(self, conversation_id: str, which: int) -> None:
        revision = self._revisions[which % len(self._revisions)]
        self.run(self._store.delete_record(conversation_id, expected_revision=revision))

    @rule(conversation_id=ids, which=WHICH, revision=WHICH, scope=st.sampled_from(SCOPES), hours=st.integers(-2, 2))
    def creates(self, conversation_id: str, which: int, revision: int, scope: str | None, hours: int) -> None:
        """A record with any entry as its head, say of another conversation, or one that is gone."""
        record = ConversationRecord(conversation_id=conversation_id, head_id=self._some_entry(which), scope=scope)
        record.updated_at = START + timedelta(hours=hours)
        if (stored := self._oracle._records.get(conversation_id)) is not None:
            record.scope, record.branches = stored.scope, _branches_after(stored)
        expected = None if revision % 3 else self._revisions[revision % len(self._revisions)]
        self.run(self._store.write_record(record, expected_revision=expected))

    @precondition(lambda self: self._oracle._records)
    @rule(whose=WHICH, which=WHICH, said=st.lists(MESSAGES, max_size=3), late=st.sampled_from([0, 0, 0, 1]))
    def replaces(self, whose: int, which: int, said: list[ModelMessage], late: int) -> None:
        """The same for a conversation that is there, with new entries behind the one that it is moved to."""
        stored = [*self._oracle._records.values()][whose % len(self._oracle._records)]
        head_id, entries = self._some_entry(which), list[ConversationEntry]()
        if said and head_id not in self._oracle._entries:
            # pydantic-ai's store takes entries that follow nothing, and breaks when another record is deleted.
            head_id = None
        for message in said:
            entries.append(ConversationEntry(parent_id=head_id, message=message))
            head_id = entries[-1].id
        branches = _branches_after(stored)
        fresh = ConversationRecord(conversation_id="", head_id=None)
        record = dataclasses.replace(stored, head_id=head_id, branches=branches, revision=fresh.revision)
        expected = self._revisions[which % len(self._revisions)] if late else stored.revision
        self.run(self._store.write_record(record, new_entries=entries, expected_revision=expected))

    @rule(which=WHICH, limit=st.none() | st.integers(0, 4))
    def reads_a_history(self, which: int, limit: int | None) -> None:
        self.run(self._store.read_history(self._some_entry(which), limit=limit))

    @rule(which=WHICH)
    def reads_an_entry(self, which: int) -> None:
        self.run(self._store.read_entry(self._some_entry(which) or "nobody's"))

    @rule(scope=st.sampled_from(SCOPES), limit=st.none() | st.integers(0, 4))
    def lists(self, scope: str | None, limit: int | None) -> None:
        self.run(self._store.list_conversations(scope=scope, limit=limit))

    @invariant()
    def remember(self) -> None:
        for record in self._oracle._records.values():
            if record.revision not in self._revisions:
                self._revisions.append(record.revision)
        self._entries += [entry_id for entry_id in self._oracle._entries if entry_id not in self._entries]

    def teardown(self) -> None:
        for conversation_id in IDS:
            self.run(self._store.load_entries(conversation_id))
        self.run(self._store.list_conversations())

    def _some_entry(self, which: int) -> str | None:
        return self._entries[which % len(self._entries)]


def _branches_after(stored: ConversationRecord) -> list[str]:
    """The branches of a record that replaces another, as pydantic-ai makes them.

    What no record names any more is deleted sooner or later, by each store in its own time.
    """
    return [*stored.branches, *([] if stored.head_id is None else [stored.head_id])]


@pytest.mark.parametrize(
    ("provider_kind", "examples"), [("memory", 30), ("sqlite", 12), ("postgresql", 8), ("postgresql-asyncpg", 8)]
)
def test_a_program_comes_to_the_same_in_both_stores(
    provider_kind: str, examples: int, url_of_kind: Callable[[str], str]
) -> None:
    clock, numbers = ManualClock(), count()
    compared: list[Compared] = []
    with asyncio.Runner() as runner:
        storage = open_storage(url_of_kind(provider_kind), clock=clock)

        class OnStorage(Program):
            def __init__(self) -> None:
                store = StoredConversationStore(storage, namespace=f"example-{next(numbers)}", ttl=timedelta(days=1))
                super().__init__(runner, store, clock)
                compared.append(self._store)

        program = settings(
            deadline=None,
            max_examples=scaled(examples),
            stateful_step_count=40,
            report_multiple_bugs=False,
            suppress_health_check=[*HealthCheck],
        )
        try:
            run_state_machine_as_test(OnStorage, settings=program)
        finally:
            runner.run(storage.close())
    assert sum(store.calls for store in compared) > 20 * examples
    assert sum(store.conflicts for store in compared) > examples
