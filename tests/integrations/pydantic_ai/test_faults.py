"""Lost answers, outages, cancellation, writes that are sent twice, and what cannot be stored or read."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from pydantic_ai.conversation_store import ConversationConflict, ConversationEntry, ConversationRecord

from sessionstore import SessionManager, StorageError, StorageProvider, StorageUnavailableError, open_storage
from sessionstore.integrations.pydantic_ai import StoredConversationStore
from sessionstore.testing.postgres import Database
from tests.faults.proxy import Fault, Proxy
from tests.support.databases import driven

from .talk import ID, asked, conversation, question, questions

R = TypeVar("R")


class Service(NamedTuple):
    """A store behind a wire that breaks, and another one beside it."""

    proxy: Proxy
    store: StoredConversationStore
    other: StoredConversationStore

    async def broken(self, fault: Fault, call: Awaitable[R]) -> R:
        """Makes a call to whose first write this happens, and sees that it did."""
        struck = self.proxy.arm(fault)
        done = await call
        assert struck.is_set()
        return done


@pytest.fixture(params=["psycopg", "asyncpg"])
async def service(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Service]:
    database.empty()
    driver = str(request.param)
    async with (
        Proxy(database.url) as proxy,
        open_storage(driven(proxy.url, driver)) as storage,
        open_storage(database.url) as other,
    ):
        store = StoredConversationStore(storage)
        # The proxy holds back what a broken connection answers, also to a statement that is prepared now.
        talk = conversation(question("hello"), conversation_id="prepared")
        await store.save(talk)
        await store.save(talk)
        await store.save(talk)
        yield Service(proxy, store, StoredConversationStore(other))


@pytest.fixture
def store(storage: StorageProvider) -> StoredConversationStore:
    return StoredConversationStore(storage)


async def said(store: StoredConversationStore, conversation_id: str = ID) -> list[Any]:
    talk = await store.load(conversation_id)
    assert talk is not None
    return asked(talk.messages)


_NOWHERE = "postgresql+psycopg://nobody@/x?host=/nowhere"
_LOST = pytest.mark.parametrize("fault", [Fault.CUT, Fault.DROP])


@_LOST
async def test_a_save_whose_answer_was_lost_landed_once(service: Service, fault: Fault) -> None:
    talk = conversation(question("first"))
    await service.broken(fault, service.store.save(talk))
    talk.messages.append(question("second"))
    await service.broken(fault, service.store.save(talk))
    assert await said(service.other) == ["first", "second"]
    record = await service.other.read_record(ID)
    assert record is not None
    assert record.revision == talk.revision
    talk.messages.append(question("third"))
    await service.store.save(talk)


@_LOST
async def test_a_conflict_stays_one_when_an_answer_is_lost(service: Service, fault: Fault) -> None:
    talk = conversation(question("first"))
    await service.other.save(talk)
    late = await service.store.load(ID)
    assert late is not None
    talk.messages.append(question("theirs"))
    await service.other.save(talk)
    late.messages.append(question("ours"))
    with pytest.raises(ConversationConflict):
        await service.store.save(late)
    another = ConversationRecord(conversation_id=ID, head_id=None)
    with pytest.raises(ConversationConflict):
        await service.broken(fault, service.store.write_record(another, expected_revision=None))
    assert await said(service.other) == ["first", "theirs"]


@_LOST
async def test_a_fork_a_branch_and_a_deletion_whose_answers_were_lost_are_done_once(
    service: Service, fault: Fault
) -> None:
    talk = conversation(*questions(3))
    await service.store.save(talk)
    fork = await service.broken(fault, service.store.fork(ID, at=2, new_conversation_id="fork"))
    await service.broken(fault, service.store.branch("fork", at=1, expected_revision=fork.revision))
    await service.broken(fault, service.store.delete(ID))
    assert await service.other.load(ID) is None
    assert await said(service.other, "fork") == ["q0"]


async def test_the_same_write_again_is_no_conflict(store: StoredConversationStore) -> None:
    entry = ConversationEntry(parent_id=None, message=question("hello"))
    first = ConversationRecord(conversation_id=ID, head_id=entry.id)
    second = ConversationRecord(conversation_id=ID, head_id=entry.id, branches=[])
    for _ in range(2):
        await store.write_record(first, new_entries=[entry], expected_revision=None)
    for _ in range(2):
        await store.write_record(second, expected_revision=first.revision)
    assert await store.read_record(ID) == second
    assert [stored.id for stored in await store.load_entries(ID) or ()] == [entry.id]


async def test_another_write_of_the_same_record_is_a_conflict(store: StoredConversationStore) -> None:
    first = ConversationRecord(conversation_id=ID, head_id=None)
    second = ConversationRecord(conversation_id=ID, head_id=None)
    await store.write_record(first, expected_revision=None)
    await store.write_record(second, expected_revision=first.revision)
    writes: list[tuple[ConversationRecord, str | None]] = [
        (second, None),
        (second, "another"),
        (first, None),
        (dataclasses.replace(second, forked_from="x"), first.revision),
    ]
    for record, expected in writes:
        with pytest.raises(ConversationConflict):
            await store.write_record(record, expected_revision=expected)


async def test_the_same_write_again_is_a_conflict_once_somebody_saved(store: StoredConversationStore) -> None:
    first, second, third = (ConversationRecord(conversation_id=ID, head_id=None) for _ in range(3))
    await store.write_record(first, expected_revision=None)
    await store.write_record(second, expected_revision=first.revision)
    await store.write_record(third, expected_revision=second.revision)
    for record, expected in ((first, None), (second, first.revision)):
        with pytest.raises(ConversationConflict):
            await store.write_record(record, expected_revision=expected)
    assert await store.read_record(ID) == third


def calls(store: StoredConversationStore) -> list[Awaitable[object]]:
    """Each call once."""
    record = ConversationRecord(conversation_id=ID, head_id="e")
    return [
        store.load(ID),
        store.save(conversation(question("hello"))),
        store.delete(ID),
        store.list_conversations(),
        store.fork(ID),
        store.read_entry("e"),
        store.read_history("e"),
        store.delete_record(ID, expected_revision="r"),
        store.write_record(record, expected_revision="r"),
        store.write_record(record, expected_revision=None),
    ]


async def test_an_outage_is_never_an_absent_conversation(tmp_path: Path) -> None:
    urls = [f"postgresql+psycopg://nobody@/x?host={tmp_path}", f"sqlite+aiosqlite:///{tmp_path}/absent/sessions.db"]
    for url in urls:
        async with open_storage(url) as storage:
            for call in calls(StoredConversationStore(storage)):
                with pytest.raises(StorageError):
                    await call


async def test_an_outage_in_the_middle_is_an_error_and_later_calls_work(service: Service, database: Database) -> None:
    talk = conversation(question("hello"))
    await service.store.save(talk)
    service.proxy.lead_to(_NOWHERE)
    service.proxy.leave()
    talk.messages.append(question("again"))
    for call in (service.store.load(ID), service.store.save(talk), service.store.list_conversations()):
        with pytest.raises(StorageUnavailableError):
            await call
    service.proxy.lead_to(database.url)
    await service.store.save(talk)
    assert await said(service.other) == ["hello", "again"]


async def test_a_cancelled_save_is_whole_or_not_there(storage_url: str) -> None:
    for turns in range(12):
        async with open_storage(storage_url) as storage:
            namespace = f"cancelled-{turns}"
            store = StoredConversationStore(storage, namespace=namespace)
            talk = conversation(question("first"))
            await store.save(talk)
            talk.messages += questions(3)
            saving = asyncio.create_task(store.save(talk))
            for _ in range(turns):
                await asyncio.sleep(0)
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)
            found = await said(store)
            assert found in (["first"], ["first", "q0", "q1", "q2"])
            record = await store.read_record(ID)
            (info,) = (await SessionManager[Any](lambda _: {}, storage, namespace).list_sessions()).sessions
            assert record is not None
            assert info.item_count == len(found)


async def test_saves_at_once_in_one_process_land_once_each_or_conflict(store: StoredConversationStore) -> None:
    await store.save(conversation(question("first")))
    loaded = [await store.load(ID) for _ in range(8)]
    for number, talk in enumerate(loaded):
        assert talk is not None
        talk.messages.append(question(f"by {number}"))
    saved = await asyncio.gather(*(store.save(talk) for talk in loaded if talk), return_exceptions=True)
    (winner,) = [number for number, outcome in enumerate(saved) if isinstance(outcome, list)]
    assert [type(outcome) for outcome in saved].count(ConversationConflict) == 7
    assert await said(store) == ["first", f"by {winner}"]
    made = await asyncio.gather(
        *(store.save(conversation(question("x"), conversation_id="new")) for _ in range(8)), return_exceptions=True
    )
    assert [type(outcome) for outcome in made].count(ConversationConflict) == 7
