"""An update that begins with the write cache has the same result as one that reads the session."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore import (
    Batching,
    ConfigurationError,
    InvalidStateError,
    MemoryStorageProvider,
    SessionConflictError,
    SessionManager,
    SessionNotFoundError,
    StorageError,
)
from sessionstore.testing.support.documents import Chat, increment, new_chat

from ..support.gated import GatedStorage, together


@pytest.fixture
def storage() -> GatedStorage:
    return GatedStorage()


@pytest.fixture
async def chats(storage: GatedStorage) -> SessionManager[Chat]:
    """A manager that has just updated the sessions "s" and "t"."""
    chats = SessionManager(new_chat, storage, "chat")
    for name in ("s", "t"):
        await chats.create_session(name)
        assert (await chats.update_session(name, increment)).unwrap()["n"] == 1
    storage.reads.clear()
    storage.writes.clear()
    return chats


@pytest.fixture
async def another(storage: GatedStorage) -> SessionManager[Chat]:
    """The manager of another process on the same sessions."""
    other = MemoryStorageProvider()
    other._documents = storage._documents
    return SessionManager(new_chat, other, "chat")


async def test_a_session_that_was_just_written_is_not_read_for_the_next_update(
    storage: GatedStorage, chats: SessionManager[Chat]
) -> None:
    before = (await chats.get_session("s", touch=False)).version
    storage.reads.clear()
    results = [await chats.update_session("s", increment) for _ in range(3)]
    assert [result.unwrap()["n"] for result in results] == [2, 3, 4]
    assert before is not None
    assert [result.version for result in results] == [before + 1, before + 2, before + 3]
    assert storage.reads == []
    assert (await chats.get_session("s")).unwrap()["n"] == 4


async def test_after_a_write_of_another_process_the_function_is_applied_to_the_stored_state(
    storage: GatedStorage, chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    assert (await another.update_session("s", increment)).unwrap()["n"] == 2
    seen: list[int] = []

    def look(state: Chat) -> None:
        seen.append(state["n"])
        increment(state)

    assert (await chats.update_session("s", look)).unwrap()["n"] == 3
    assert seen == [1, 2]
    assert storage.reads == [["s"]]


async def test_a_function_that_fails_on_a_cached_state_is_applied_again_to_the_stored_state(
    chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    assert (await another.update_session("s", increment)).success

    def only_two(state: Chat) -> None:
        if state["n"] != 2:
            raise ValueError(f"not {state['n']}")

    assert (await chats.update_session("s", only_two)).unwrap()["n"] == 2
    with pytest.raises(ValueError, match="not 1"):
        await chats.update_session("t", only_two)


async def test_a_bad_state_made_from_a_cached_state_is_made_again_from_the_stored_state(
    chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    assert (await another.update_session("s", increment)).success

    def bad_of_one(state: Chat) -> None:
        state["bad"] = float("nan") if state["n"] == 1 else 0

    assert (await chats.update_session("s", bad_of_one)).unwrap()["bad"] == 0
    assert isinstance((await chats.update_session("t", bad_of_one)).error, InvalidStateError)


async def test_an_expected_version_is_compared_with_the_stored_version(
    storage: GatedStorage, chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    theirs = await another.update_session("s", increment)
    assert (await chats.update_session("s", increment, expected_version=theirs.version)).unwrap()["n"] == 3
    assert theirs.version is not None
    late = await chats.update_session("s", increment, expected_version=theirs.version)
    assert isinstance(late.error, SessionConflictError)
    assert late.error.actual == theirs.version + 1
    assert (await another.get_session("s")).unwrap()["n"] == 3


async def test_a_session_that_was_read_for_an_update_is_not_read_again(
    storage: GatedStorage, chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    await another.update_session("s", increment)
    read = await chats.get_session("s", touch=False, remember=True)
    storage.reads.clear()
    updated = await chats.update_session("s", increment, expected_version=read.version)
    assert updated.unwrap()["n"] == 3
    assert storage.reads == []


async def test_a_cached_read_never_overwrites_a_write_of_another_process(
    chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    read = await chats.get_session("s", remember=True)
    await another.update_session("s", increment)
    late = await chats.update_session("s", increment, expected_version=read.version)
    assert isinstance(late.error, SessionConflictError)
    assert (await chats.update_session("s", increment)).unwrap()["n"] == 3


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "deleted and created again"])
async def test_a_later_session_of_the_same_id_is_not_written_from_the_write_cache(
    chats: SessionManager[Chat], another: SessionManager[Chat], *, again: bool
) -> None:
    await another.delete_session("s")
    if again:
        await another.create_session("s")
    updated = await chats.update_session("s", increment)
    if again:
        assert updated.unwrap()["n"] == 1
    else:
        assert isinstance(updated.error, SessionNotFoundError)


async def test_the_refusal_of_a_state_made_from_a_cached_state_is_not_reported(
    storage: GatedStorage, chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    assert (await another.update_session("s", increment)).success
    storage.refusal = lambda writes: StorageError("no") if '"n":2' in writes[0].state else None
    assert (await chats.update_session("s", increment)).unwrap()["n"] == 3
    with pytest.raises(StorageError, match="no"):
        await chats.update_session("t", increment)


async def test_a_batch_is_read_if_one_of_its_sessions_is_not_in_the_write_cache(
    storage: GatedStorage, chats: SessionManager[Chat]
) -> None:
    await chats.create_session("cold")
    tasks = await together(storage, chats, *(chats.update_session(name, increment) for name in ("s", "t", "cold")))
    assert [(await task).unwrap()["n"] for task in tasks] == [2, 2, 1]
    assert storage.reads[-1] == ["s", "t", "cold"]


async def test_without_the_write_cache_each_update_reads() -> None:
    storage = GatedStorage(batching=Batching(remember=0))
    chats = SessionManager(new_chat, storage, "chat")
    await chats.create_session("s")
    for _ in range(3):
        await chats.update_session("s", increment)
    assert storage.reads == [["s"]] * 3


async def test_four_processes_on_one_session_soon_stop_guessing(
    storage: GatedStorage, chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    for _ in range(200):
        assert (await another.update_session("s", increment)).success
        assert (await chats.update_session("s", increment)).success
    assert (len(storage.reads), len(storage.writes) - 200) == (200, 6)
    assert (await another.get_session("s")).unwrap()["n"] == 401


async def test_a_session_is_guessed_again_after_other_processes_stop_writing_it(
    storage: GatedStorage, chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    for _ in range(200):
        await another.update_session("s", increment)
        await chats.update_session("s", increment)
    storage.forget_calls()
    for _ in range(100):
        await chats.update_session("s", increment)
    assert (len(storage.reads), len(storage.writes)) == (6, 100)


async def test_a_session_that_other_processes_write_does_not_stop_guesses_of_other_sessions(
    storage: GatedStorage, chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    for _ in range(200):
        await another.update_session("s", increment)
        await chats.update_session("s", increment)
        await chats.update_session("t", increment)
    assert [name for (name,) in storage.reads if name == "t"] == []
    assert len(storage.writes) == 400 + 6


@pytest.mark.parametrize("remember", [-1.0, float("nan"), "1", True, None])
def test_a_negative_time_in_the_write_cache_is_refused(remember: Any) -> None:
    with pytest.raises(ConfigurationError, match="remember"):
        Batching(remember=remember)
