"""The switch of the test plugin, on each provider."""

from __future__ import annotations

import pytest

from sessionstore import SessionManager, StorageProvider, StorageUnavailableError, UpdateOutcomeUnknownError
from sessionstore.storage.reshaping import Reshaping
from sessionstore.testing import Outage, StatementCounter, interruptible
from sessionstore.testing.support.documents import new_chat


@pytest.fixture
def outage() -> Outage:
    return Outage()


@pytest.fixture
def chats(storage: StorageProvider, outage: Outage) -> SessionManager[dict[str, object]]:
    return SessionManager(new_chat, interruptible(storage, outage), namespace="chat")


async def test_the_next_call_fails_and_writes_nothing(
    chats: SessionManager[dict[str, object]], outage: Outage, storage: StorageProvider
) -> None:
    outage.fail_next()
    with pytest.raises(StorageUnavailableError):
        await chats.create_session("s")
    assert not (await chats.get_session("s")).success
    assert (await chats.create_session("s")).created


async def test_the_answer_of_the_next_write_is_lost_and_the_write_is_done(
    chats: SessionManager[dict[str, object]], outage: Outage
) -> None:
    outage.lose_next_answer()
    assert not (await chats.get_session("s")).success  # a read is not touched
    with pytest.raises(UpdateOutcomeUnknownError):
        await chats.create_session("s")
    assert (await chats.get_session("s")).success
    outage.lose_next_answer()
    with pytest.raises(UpdateOutcomeUnknownError):
        await chats.append_items("s", ["hello"])
    assert [item.data for item in (await chats.get_items("s")).items] == ["hello"]


async def test_nothing_works_while_the_storage_is_down(
    chats: SessionManager[dict[str, object]], outage: Outage
) -> None:
    await chats.create_session("s")
    with outage.down():
        for call in (chats.get_session("s"), chats.delete_session("s"), chats.list_sessions(), chats.pop_items("s")):
            with pytest.raises(StorageUnavailableError):
                await call
    assert (await chats.get_session("s")).success


async def test_no_call_of_a_storage_passes_by_the_switch(storage: StorageProvider, outage: Outage) -> None:
    behind = interruptible(storage, outage)
    for protocol in (StorageProvider, Reshaping):
        calls = [name for name in dir(protocol) if not name.startswith("_") and name not in ("batching", "close")]
        assert [name for name in calls if getattr(type(behind), name) is getattr(protocol, name)] == []


async def test_a_storage_behind_the_switch_does_all_that_it_did_before(
    chats: SessionManager[dict[str, object]],
) -> None:
    await chats.create_session("s", items=["a", "b"])
    assert (await chats.fork_session("s", "t")).success
    assert (await chats.update_session("s", lambda state: {**state, "n": 1})).unwrap()["n"] == 1
    assert (await chats.pop_items("t")).items[0].data == "b"
    assert [found.session_id for found in (await chats.list_sessions()).sessions] == ["s", "t"]
    assert (await chats.upgrade_states()).complete


async def test_statements_are_counted_while_the_counter_runs(storage: StorageProvider, provider_kind: str) -> None:
    chats = SessionManager(new_chat, storage, namespace="chat")
    await chats.create_session("s")
    with StatementCounter().running() as counter:
        await chats.get_session("s", touch=False)
        assert counter.count == (0 if provider_kind == "memory" else 1), counter.statements
        counter.reset()
        assert counter.statements == []
    await chats.get_session("s", touch=False)
    assert counter.count == 0
