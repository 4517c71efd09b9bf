"""An update that begins with the write cache has the same result as one that reads the session."""

from __future__ import annotations

from datetime import UTC, datetime
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
from sessionstore.storage import Document, Key, Summary
from sessionstore.testing.support.documents import Chat, increment, new_chat
from sessionstore.updates import write_cache as recent
from sessionstore.updates.write_cache import WriteCache

from ..support.gated import GatedStorage, together

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


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


def key(name: str) -> Key:
    return Key("chat", name)


def document(name: str, state: str = "{}", *, version: int = 1) -> Document:
    summary = Summary(key(name), version, _NOW, _NOW, _NOW, None, None, None, None, None)
    return Document(state, summary)


def turn_time(monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> None:
    monkeypatch.setattr(recent, "monotonic", lambda: seconds[0])


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


async def test_a_function_that_fails_on_a_guess_is_applied_again_to_the_stored_state(
    chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    assert (await another.update_session("s", increment)).success

    def only_two(state: Chat) -> None:
        if state["n"] != 2:
            raise ValueError(f"not {state['n']}")

    assert (await chats.update_session("s", only_two)).unwrap()["n"] == 2
    with pytest.raises(ValueError, match="not 1"):
        await chats.update_session("t", only_two)


async def test_a_bad_state_that_was_made_from_a_guess_is_made_again_from_the_stored_state(
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


async def test_a_state_that_was_read_for_an_update_is_not_written_on_over_another_process(
    chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    read = await chats.get_session("s", remember=True)
    await another.update_session("s", increment)
    late = await chats.update_session("s", increment, expected_version=read.version)
    assert isinstance(late.error, SessionConflictError)
    assert (await chats.update_session("s", increment)).unwrap()["n"] == 3


def test_a_read_for_an_update_keeps_what_was_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    turn_time(monkeypatch, now)
    cache = WriteCache(1.0)
    cache.wrote(document("s", "later", version=2))
    cache.read_for_update(document("s", "earlier", version=1))
    assert [it.state for it in cache.guesses([key("s")]) or ()] == ["later"]
    now[0] = 0.9
    cache.read_for_update(document("s", "later", version=2))
    now[0] = 1.8
    assert [it.state for it in cache.guesses([key("s")]) or ()] == ["later"]
    cache.read_for_update(document("s", "latest", version=3))
    assert [it.state for it in cache.guesses([key("s")]) or ()] == ["latest"]


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


async def test_the_refusal_of_a_state_that_was_made_from_a_guess_is_not_reported(
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


def test_a_document_stays_in_the_write_cache_for_the_time_set(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    turn_time(monkeypatch, seconds)
    remembered = WriteCache(1.0)
    remembered.wrote(document("s"))
    seconds[0] = 101.0
    assert remembered.guesses([key("s")]) == [document("s")]
    seconds[0] = 101.01
    assert remembered.guesses([key("s")]) is None
    remembered.wrote(document("t"))
    assert list(remembered._sessions) == [key("t")]


def test_the_write_cache_does_not_exceed_its_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_CAPACITY", 10)
    remembered = WriteCache(1.0)
    for name, state in (("a", "1234"), ("b", "1234"), ("a", "123456"), ("c", "1234"), ("d", "12345678901")):
        remembered.wrote(document(name, state))
        kept = [session.document.state for session in remembered._sessions.values() if session.document is not None]
        assert sum(map(len, kept)) == remembered._chars <= 10
    assert remembered._sessions == {}
    remembered.wrote(document("a", "1234"))
    remembered.forget(key("a"))
    assert (remembered._chars, remembered.guesses([key("a")])) == (0, None)


def guesses_until_it_stops(remembered: WriteCache, *names: str) -> int:
    """How many wrong guesses of these sessions together it makes."""
    count = 0
    while remembered.guesses(map(key, names)) is not None:
        count += 1
        for name in names:
            remembered.guessed(key(name), right=False)
            remembered.wrote(document(name))
    return count


@pytest.mark.parametrize(("sessions", "wrong"), [(1, 6), (2, 3), (4, 2), (16, 1)])
def test_guessing_stops_where_more_likely_than_not_one_of_a_batch_is_wrong(sessions: int, wrong: int) -> None:
    remembered = WriteCache(60.0)
    names = [str(number) for number in range(sessions)]
    for name in names:
        remembered.wrote(document(name))
    assert guesses_until_it_stops(remembered, *names) == wrong


def test_reads_tell_when_guessing_pays_again() -> None:
    remembered = WriteCache(60.0)
    remembered.wrote(document("s"))
    guesses_until_it_stops(remembered, "s")
    for found in (None, document("s", version=2), document("s", version=2)):
        remembered.read(key("s"), found)
        assert remembered.guesses([key("s")]) is None
    reads = 0
    while remembered.guesses([key("s")]) is None:
        remembered.read(key("s"), document("s"))
        reads += 1
    assert reads == 3


def test_what_was_not_remembered_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    turn_time(monkeypatch, seconds)
    remembered = WriteCache(1.0)
    remembered.wrote(document("s"))
    remembered.forget(key("s"))
    seconds[0] = 102.0
    remembered.wrote(document("t"))
    seconds[0] = 104.0
    for name in ("s", "t", "u"):
        remembered.read(key(name), None)
    remembered.wrote(document("s"))
    assert remembered._rate == remembered._sessions[key("s")].rate == 1.0


def test_a_new_session_begins_with_what_was_learned_of_the_others() -> None:
    remembered = WriteCache(60.0)
    for number in range(30):
        remembered.wrote(document(str(number)))
        remembered.guessed(key(str(number)), right=False)
    remembered.wrote(document("new"))
    assert remembered.guesses([key("new")]) is None


async def test_four_processes_on_one_session_soon_stop_guessing(
    storage: GatedStorage, chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    for _ in range(200):
        assert (await another.update_session("s", increment)).success
        assert (await chats.update_session("s", increment)).success
    assert (len(storage.reads), len(storage.writes) - 200) == (200, 6)
    assert (await another.get_session("s")).unwrap()["n"] == 401


async def test_when_others_write_a_session_no_more_it_is_guessed_again(
    storage: GatedStorage, chats: SessionManager[Chat], another: SessionManager[Chat]
) -> None:
    for _ in range(200):
        await another.update_session("s", increment)
        await chats.update_session("s", increment)
    storage.forget_calls()
    for _ in range(100):
        await chats.update_session("s", increment)
    assert (len(storage.reads), len(storage.writes)) == (6, 100)


async def test_a_session_that_others_write_keeps_no_other_from_being_guessed(
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
