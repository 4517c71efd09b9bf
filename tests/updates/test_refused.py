"""Batches of updates when the storage refuses some of them, is unavailable, or is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from sessionstore import (
    SchemaError,
    SessionManager,
    SessionStoreError,
    StorageError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)
from sessionstore.batching import Batching
from sessionstore.storage import Document, Key, Write
from sessionstore.testing.support.documents import Chat, append, increment, new_chat
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS

from ..support.gated import MARK, GatedStorage, desk_on, together
from ..support.sender import begun, ends, turns

pytestmark = pytest.mark.usefixtures("patient")


class UnreadableStorage(GatedStorage):
    """A storage that cannot read the session "broken"."""

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        found = await super().get_many(keys, **options)
        if any(key.session_id == "broken" for key in keys):
            raise StorageError("a row is broken", code="XX001")
        return found


class CountedStates(GatedStorage):
    """A storage that records the characters of state of each write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[int] = []
        self.refusal = self._count

    def _count(self, writes: Sequence[Write]) -> None:
        self.written.append(sum(len(write.state) for write in writes))


@pytest.fixture
def storage() -> GatedStorage:
    return GatedStorage()


@pytest.mark.parametrize("locked", [False, True], ids=["written", "locked"])
async def test_only_the_session_whose_state_is_refused_fails(storage: GatedStorage, *, locked: bool) -> None:
    desk = await desk_on(storage, "a", "b", "c")
    storage.refuse_marked()
    if locked:
        _lose_all_rounds(storage, "abc")
    calls = [desk.update_session(name, append(turn)) for name, turn in zip("abc", ("x", MARK, "z"), strict=True)]
    tasks = await together(storage, desk, *calls)
    a, b, c = await ends(tasks)
    assert (a.unwrap()["turns"], str(b), c.unwrap()["turns"]) == (["x"], "marked", ["z"])
    assert type(b) is StorageError
    assert (await desk.get_session("b")).unwrap()["turns"] == []
    assert bool(storage.locks) is locked


@pytest.mark.parametrize("locked", [False, True], ids=["written", "locked"])
async def test_only_the_caller_whose_state_is_refused_fails_and_the_others_stay_in_order(
    storage: GatedStorage, *, locked: bool
) -> None:
    desk = await desk_on(storage, "s")
    storage.refuse_marked()
    if locked:
        _lose_all_rounds(storage, "s")
    tasks = await together(
        storage, desk, *(desk.update_session("s", append(turn)) for turn in ("1", MARK, "2", MARK, "3"))
    )
    results = await ends(tasks)
    assert [results[n].unwrap()["turns"] for n in (0, 2, 4)] == [["1"], ["1", "2"], ["1", "2", "3"]]
    assert [str(results[n]) for n in (1, 3)] == ["marked", "marked"]
    assert results[1] is not results[3]
    assert (await desk.get_session("s")).unwrap()["turns"] == ["1", "2", "3"]


async def test_an_error_that_depended_on_a_refused_change_is_not_reported(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    storage.refuse_marked()

    def object_to_the_mark(state: Chat) -> None:
        if MARK in state["turns"]:
            raise LookupError("it is marked")
        increment(state)

    first = (await desk.get_session("s")).version
    assert first is not None
    tasks = await together(
        storage,
        desk,
        desk.update_session("s", append(MARK)),
        desk.update_session("s", object_to_the_mark),
        desk.update_session("s", increment, expected_version=first + 1),
        desk.update_session("s", increment, expected_version=first + 2),
    )
    marked, objecting, second, third = await ends(tasks)
    assert str(marked) == "marked"
    assert objecting.unwrap()["n"] == 1
    # Nothing of the first update landed, so the next one is on the version after the second.
    assert (second.unwrap()["n"], third.unwrap()["n"]) == (2, 3)


async def test_a_lone_update_that_is_refused_is_not_tried_again(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    storage.refuse_marked()
    with pytest.raises(StorageError, match="marked"):
        await desk.update_session("s", append(MARK))
    assert len(storage.writes) == 1


async def test_an_update_cancelled_during_the_bisection_is_not_applied(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    storage.refuse_marked()
    tasks = await together(storage, desk)
    storage.writing.hold()
    tasks = await together(storage, desk, *(desk.update_session("s", append(turn)) for turn in (MARK, "1", "2")))
    tasks[1].cancel()
    await turns()
    storage.writing.release()
    _, _, last = await ends(tasks)
    assert last.unwrap()["turns"] == ["2"]


@pytest.mark.parametrize("whose", ["s", "other"])
async def test_the_refusal_of_a_cancelled_call_is_not_reported_to_other_callers(
    storage: GatedStorage, whose: str
) -> None:
    desk = await desk_on(storage, "s", "other")
    storage.refuse_marked()
    tasks = await together(storage, desk)
    storage.writing.hold()
    tasks = await together(
        storage, desk, desk.update_session(whose, append(MARK)), desk.update_session("s", append("1"))
    )
    tasks[0].cancel()
    await turns()
    storage.writing.release()
    _, kept = await ends(tasks)
    assert kept.unwrap()["turns"] == ["1"]


async def test_a_session_that_cannot_be_read_fails_alone() -> None:
    storage = UnreadableStorage()
    desk = await desk_on(storage, "a", "broken", "c")
    calls = [desk.update_session(name, append(name)) for name in ("a", "broken", "c", "broken")]
    tasks = await together(storage, desk, *calls)
    results = await ends(tasks)
    assert [results[n].unwrap()["turns"] for n in (0, 2)] == [["a"], ["c"]]
    assert [results[n].code for n in (1, 3)] == ["XX001", "XX001"]
    assert results[1] is not results[3]


@pytest.mark.parametrize(
    "error",
    [
        StorageUnavailableError("away"),
        SchemaError("moved on", found="2", wanted="1"),
        RuntimeError("a defect"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_that_is_no_refusal_reaches_all_callers_and_nothing_is_retried(
    storage: GatedStorage, error: Exception
) -> None:
    desk = await desk_on(storage, "a", "b")
    storage.refusal = lambda _: error
    tasks = await together(storage, desk, *(desk.update_session(name, append("x")) for name in "abab"))
    told = await ends(tasks)
    # The text of an error from outside the library may hold data of another caller.
    expected = type(error) if isinstance(error, SessionStoreError) else UpdateOutcomeUnknownError
    assert [type(its_own) for its_own in told] == [expected] * 4
    if isinstance(error, SessionStoreError):
        assert len(set(map(id, told))) == 4
    assert len(storage.writes) == 1
    storage.refusal = lambda _: None
    assert (await desk.update_session("a", increment)).unwrap() == {"id": "a", "n": 1, "turns": []}


async def test_an_answer_from_before_an_outage_stays(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "a", "b")
    losing = iter([True])

    def lose() -> None:
        if next(losing, False):
            storage.count_up("b")
            storage.refusal = lambda _: StorageUnavailableError("away")

    storage.lose = lose
    tasks = await together(storage, desk, *(desk.update_session(name, increment) for name in "ab"))
    a, b = await ends(tasks)
    assert a.unwrap()["n"] == 1
    assert type(b) is StorageUnavailableError


async def test_closing_finishes_or_fails_all_updates_and_drops_none(storage: GatedStorage) -> None:
    desk = await desk_on(storage, *"abc")
    storage.writing.hold()
    tasks = await begun(*(desk.update_session(name, increment) for name in "aabc"))
    await storage.close()
    storage.writing.release()
    told = await asyncio.wait_for(ends(tasks), 5)
    assert [(type(its_own), "closed" in str(its_own)) for its_own in told] == [(StorageError, True)] * 4
    assert len(set(map(id, told))) == 4


async def test_large_states_are_written_in_parts_and_the_next_batches_are_smaller() -> None:
    storage = CountedStates()
    names = [f"s{n}" for n in range(10)]
    desk = await desk_on(storage, *names)
    large = append("x" * 900_000)
    results = await asyncio.gather(*await together(storage, desk, *(desk.update_session(it, large) for it in names)))
    assert all(result.success for result in results)
    # Few sessions are read together before their lengths are known.
    assert (list(map(len, storage.reads)), list(map(len, storage.writes))) == ([4, 4, 2], [4, 4, 2])
    assert max(storage.written) < 4_000_000
    # A read shows how long a state is; an absent session shows nothing.
    assert (await desk.update_session("s0", increment)).success
    tasks = await together(storage, desk, *(desk.update_session(name, increment) for name in names))
    assert all(result.success for result in await asyncio.gather(*tasks))
    assert max(map(len, storage.reads)) == 4


async def test_a_state_that_is_longer_than_a_part_is_written_alone() -> None:
    storage = CountedStates()
    desk = SessionManager(new_chat, storage, "chat", max_state_bytes=10_000_000)
    for name in "abc":
        await desk.create_session(name)
    sizes = {"a": 10, "b": 5_000_000, "c": 10}
    calls = [desk.update_session(name, append("x" * size)) for name, size in sizes.items()]
    results = await asyncio.gather(*await together(storage, desk, *calls))
    assert [len(result.unwrap()["turns"][0]) for result in results] == [10, 5_000_000, 10]
    assert storage.writes == [{"a": 1}, {"b": 1}, {"c": 1}]


async def test_updates_are_sent_alone_and_in_order_if_the_batch_size_is_one() -> None:
    storage = GatedStorage(batching=Batching(size=1, concurrency=4))
    desk = await desk_on(storage, "s")
    tasks = await begun(*(desk.update_session("s", append(str(n))) for n in range(6)))
    results = await asyncio.gather(*tasks)
    assert [result.unwrap()["turns"][-1] for result in results] == [str(n) for n in range(6)]
    assert storage.writes == [{"s": 1}] * 6


def _lose_all_rounds(storage: GatedStorage, names: str) -> None:
    """Makes the next updates of these sessions lose until they take the row lock."""
    rounds = iter(range(OPTIMISTIC_ROUNDS))
    marked = storage.refusal

    def refusal(writes: Sequence[Write]) -> Exception | None:
        # A conflict, not a refusal: the row is not written.
        if next(rounds, None) is None:
            return marked(writes)
        for name in names:
            storage.count_up(name)
        return None

    storage.refusal = refusal
