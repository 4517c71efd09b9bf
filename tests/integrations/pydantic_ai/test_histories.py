"""Histories, forks and branches: what they cost, and what becomes of them when others end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict, ConversationEntry, ConversationRecord
from pydantic_ai.exceptions import UserError

from sessionstore import ItemNotFoundError, MemoryStorageProvider, SessionManager, StorageProvider, open_storage
from sessionstore.integrations.pydantic_ai import StoredConversationStore
from sessionstore.storage import Found
from sessionstore.testing.clock import ManualClock
from tests.support.wire import WireCounter

from .talk import ID, asked, conversation, question, questions

TTL = timedelta(hours=1)


@pytest.fixture
def store(storage: StorageProvider) -> StoredConversationStore:
    return StoredConversationStore(storage, ttl=TTL)


@pytest.fixture
async def wire(url_of_kind: Callable[[str], str]) -> AsyncIterator[WireCounter]:
    async with WireCounter(url_of_kind("postgresql")) as wire:
        yield wire


async def loaded(store: StoredConversationStore, conversation_id: str = ID) -> Conversation:
    found = await store.load(conversation_id)
    assert found is not None
    return found


async def test_a_long_history_of_forks_of_forks_takes_few_statements(wire: WireCounter) -> None:
    async with open_storage(wire.url) as storage:
        store = StoredConversationStore(storage)
        last = conversation(*questions(1000, "0-"))
        await store.save(last)
        for number in (1, 2):
            last = await store.fork(last.conversation_id)
            last.messages += questions(1000, f"{number}-")
            await store.save(last)
        with wire.counting() as loading:
            whole = await loaded(store, last.conversation_id)
        with wire.counting() as forking:
            await store.fork(last.conversation_id, at=2500)
    assert asked(whole.messages) == [f"{number}-{n}" for number in range(3) for n in range(1000)]
    assert loading.round_trips <= 8
    assert forking.round_trips <= 24


async def test_a_turn_takes_as_many_statements_in_a_long_conversation_as_in_a_short_one(wire: WireCounter) -> None:
    taken: list[int] = []
    async with open_storage(wire.url) as storage:
        store = StoredConversationStore(storage)
        for length in (20, 2000):
            await store.save(conversation(*questions(length), conversation_id=f"of {length}"))
            with wire.counting() as turn:
                window = await store.load(f"of {length}", limit=10)
                assert window is not None
                window.messages.append(question("more"))
                await store.save(window)
            taken.append(turn.round_trips)
    assert max(taken) <= 6  # one fewer if the last write was a moment ago


async def test_a_history_is_read_past_the_branches_that_were_left(store: StoredConversationStore) -> None:
    talk = conversation(*questions(150))
    await store.save(talk)
    for number in range(3):
        talk = await store.branch(ID, at=100, expected_revision=talk.revision)
        talk.messages += questions(150, f"branch {number}-")
        await store.save(talk)
    talk = await store.branch(ID, at=120, expected_revision=talk.revision)
    wanted = [f"q{n}" for n in range(100)] + [f"branch 2-{n}" for n in range(20)]
    assert asked((await loaded(store)).messages) == asked(talk.messages) == wanted
    window = await store.load(ID, limit=30)
    assert window is not None
    assert asked(window.messages) == wanted[-30:]


async def test_a_fork_lives_on_when_the_other_conversation_is_deleted(store: StoredConversationStore) -> None:
    said = await store.save(conversation(*questions(3)))
    fork = await store.fork(ID, at=2)
    await store.delete(ID)
    assert asked((await loaded(store, fork.conversation_id)).messages) == ["q0", "q1"]
    assert (await store.read_entry(said[1].id)).message == said[1].message
    with pytest.raises(ItemNotFoundError):
        await store.read_entry(said[2].id)
    await store.delete(fork.conversation_id)
    with pytest.raises(ItemNotFoundError):
        await store.read_history(said[1].id)


async def test_a_fork_lives_on_when_the_other_conversation_expires(
    store: StoredConversationStore, clock: ManualClock
) -> None:
    said = await store.save(conversation(*questions(3)))
    fork = await store.fork(ID)
    for _ in range(3):  # which does not keep the other one
        clock.advance(TTL * 0.9)
        fork = await loaded(store, fork.conversation_id)
    assert asked(fork.messages) == ["q0", "q1", "q2"]
    assert await store.load(ID) is None
    assert [entry.id for entry in await store.load_entries(fork.conversation_id) or ()] == [entry.id for entry in said]


async def test_a_record_may_be_moved_into_another_conversation(store: StoredConversationStore) -> None:
    (*_, theirs) = await store.save(conversation(*questions(3), conversation_id="other"))
    await store.save(conversation(question("mine")))
    record = await store.read_record(ID)
    assert record is not None
    moved = ConversationRecord(conversation_id=ID, head_id=theirs.id, branches=[record.head_id or ""])
    await store.write_record(moved, expected_revision=record.revision)
    await store.delete("other")
    talk = await loaded(store)
    assert asked(talk.messages) == ["q0", "q1", "q2"]
    back = await store.branch(ID, from_entry=record.head_id, expected_revision=talk.revision)
    assert asked(back.messages) == ["mine"]


async def test_a_history_goes_on_in_a_conversation_that_came_later(store: StoredConversationStore) -> None:
    first = ConversationEntry(parent_id=None, message=question("first"))
    second = ConversationEntry(parent_id=first.id, message=question("second"))
    record = ConversationRecord(conversation_id=ID, head_id=second.id)
    await store.write_record(record, new_entries=[second], expected_revision=None)
    with pytest.raises(LookupError):
        await store.load(ID)
    other = ConversationRecord(conversation_id="other", head_id=first.id)
    await store.write_record(other, new_entries=[first], expected_revision=None)
    assert asked((await loaded(store)).messages) == ["first", "second"]


async def test_entries_that_follow_each_other_in_a_circle_have_no_history(store: StoredConversationStore) -> None:
    entries = [
        ConversationEntry(id="a", parent_id="b", message=question("a")),
        ConversationEntry(id="b", parent_id="a", message=question("b")),
    ]
    record = ConversationRecord(conversation_id=ID, head_id="b")
    await store.write_record(record, new_entries=entries, expected_revision=None)
    with pytest.raises(LookupError):
        await store.read_history("b")


async def test_an_expired_conversation_is_absent(store: StoredConversationStore, clock: ManualClock) -> None:
    talk = conversation(question("old"))
    (entry,) = await store.save(talk, scope="alice")
    clock.advance(2 * TTL)
    assert await store.load(ID) is None
    assert await store.list_conversations(scope="alice") == []
    talk.messages.append(question("late"))
    with pytest.raises(ConversationConflict):
        await store.save(talk)
    with pytest.raises(UserError):
        await store.fork(ID)
    with pytest.raises(LookupError):
        await store.read_entry(entry.id)
    await store.save(conversation(question("new")))
    assert asked((await loaded(store)).messages) == ["new"]


async def test_a_load_keeps_a_conversation_from_expiring(store: StoredConversationStore, clock: ManualClock) -> None:
    await store.save(conversation(question("hello")))
    for _ in range(3):
        clock.advance(TTL * 0.9)
        await loaded(store)


async def test_a_scope_is_an_owner(store: StoredConversationStore, storage: StorageProvider) -> None:
    for number, scope in enumerate(["alice", "bob", "alice", None]):
        await store.save(conversation(question("hello"), conversation_id=f"c{number}"), scope=scope)
    fork = await store.fork("c0", scope="bob", new_conversation_id="fork")
    sessions = SessionManager[dict[str, str]](lambda _: {}, storage, "pydantic-ai")
    assert await sessions.delete_sessions(owner_id="alice") == 2
    assert {record.conversation_id for record in await store.list_conversations()} == {"c1", "c3", "fork"}
    assert asked((await loaded(store, fork.conversation_id)).messages) == ["hello"]


async def test_the_scope_of_a_conversation_stays(store: StoredConversationStore) -> None:
    await store.save(conversation(question("hello")), scope="alice")
    record = await store.read_record(ID)
    assert record is not None
    other = ConversationRecord(conversation_id=ID, head_id=record.head_id, scope="bob")
    with pytest.raises(UserError, match="scope"):
        await store.write_record(other, expected_revision=record.revision)
    assert await store.read_record(ID) == record


async def test_a_list_goes_by_the_time_in_the_record(store: StoredConversationStore, clock: ManualClock) -> None:
    for days in (3, 1, 2):
        record = ConversationRecord(conversation_id=f"day {days}", head_id=None, updated_at=clock() + timedelta(days))
        await store.write_record(record, expected_revision=None)
    assert [record.conversation_id for record in await store.list_conversations(limit=2)] == ["day 3", "day 2"]


async def test_a_list_has_all_conversations(
    store: StoredConversationStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.integrations.pydantic_ai._PAGE", 7)
    monkeypatch.setattr("sessionstore.integrations.pydantic_ai._FEWEST_LISTED", 5)
    for number in range(25):
        clock.advance(timedelta(milliseconds=1))
        record = ConversationRecord(conversation_id=f"c{number}", head_id=None, updated_at=clock())
        await store.write_record(record, expected_revision=None)
    wanted = [f"c{number}" for number in reversed(range(25))]
    for limit in (None, 30, 24, 3, 0):
        assert [record.conversation_id for record in await store.list_conversations(limit=limit)] == wanted[:limit]


class DeletedMeanwhile(MemoryStorageProvider):
    """Something happens right after the next item was found by its id."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def find_many(
        self, namespace: str, ids: Sequence[str], *, owner_id: str | None = None
    ) -> Sequence[Found | None]:
        found = await super().find_many(namespace, ids, owner_id=owner_id)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return found


async def test_a_fork_of_a_conversation_deleted_meanwhile_is_a_conflict_and_leaves_nothing() -> None:
    storage = DeletedMeanwhile()
    store = StoredConversationStore(storage)
    (*_, head) = await store.save(conversation(*questions(3)))
    fork = ConversationRecord(conversation_id="fork", head_id=head.id)
    storage.meanwhile = lambda: store.delete(ID)
    with pytest.raises(ConversationConflict):
        await store.write_record(fork, expected_revision=None)
    assert await store.list_conversations() == []


async def test_a_move_to_entries_deleted_meanwhile_is_a_conflict_and_changes_nothing() -> None:
    storage = DeletedMeanwhile()
    store = StoredConversationStore(storage)
    (*_, theirs) = await store.save(conversation(*questions(3), conversation_id="other"))
    await store.save(conversation(question("mine")))
    record = await store.read_record(ID)
    assert record is not None
    moved = ConversationRecord(conversation_id=ID, head_id=theirs.id)
    storage.meanwhile = lambda: store.delete("other")
    with pytest.raises(ConversationConflict):
        await store.write_record(moved, expected_revision=record.revision)
    assert await store.read_record(ID) == record
    assert asked((await loaded(store)).messages) == ["mine"]


async def test_a_fork_is_whole_if_another_fork_has_the_entries_deleted_meanwhile() -> None:
    storage = DeletedMeanwhile()
    store = StoredConversationStore(storage)
    await store.save(conversation(*questions(3)))
    other = await store.fork(ID)
    storage.meanwhile = lambda: store.delete(ID)
    fork = await store.fork(other.conversation_id)
    assert await store.load(ID) is None
    assert asked((await loaded(store, fork.conversation_id)).messages) == ["q0", "q1", "q2"]


async def test_a_history_is_found_where_it_is_now(storage: StorageProvider) -> None:
    store, other = StoredConversationStore(storage), StoredConversationStore(storage)
    (*_, head) = await store.save(conversation(*questions(3)))
    await store.load(ID)
    fork = await other.fork(ID)
    await other.delete(ID)
    assert [entry.id for entry in await store.read_history(head.id)][-1] == head.id
    await other.save(conversation(*questions(250, "another "), conversation_id=ID))
    assert len(await store.read_history(head.id)) == 3
    await other.delete(fork.conversation_id)
    with pytest.raises(LookupError):
        await store.read_history(head.id)


async def test_heads_are_not_kept_in_memory_for_ever(
    store: StoredConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.integrations.chain._MOST_ENDS", 3)
    for number in range(5):
        await store.save(conversation(*questions(2), conversation_id=f"c{number}"))
        await loaded(store, f"c{number}")
    assert len(store._chains._ends) == 3
    for number in range(5):
        assert asked((await loaded(store, f"c{number}")).messages) == ["q0", "q1"]
