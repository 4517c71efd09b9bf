"""Updates of one batch have the same results as updates that are made one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from sessionstore import (
    InvalidStateError,
    MemoryStorageProvider,
    SessionConflictError,
    SessionManager,
    SessionNotFoundError,
)
from sessionstore.batching import Batching
from sessionstore.storage import Key, Write
from sessionstore.testing.support.documents import Chat, append, increment, new_chat
from sessionstore.updates.loop import UpdateLoop
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS

from ..support.gated import GatedStorage, desk_on, together
from ..support.sender import begun, turns

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def storage() -> GatedStorage:
    return GatedStorage()


async def test_a_lone_update_reads_and_writes_without_a_turn_of_the_event_loop() -> None:
    chats = SessionManager(new_chat, MemoryStorageProvider(), "chat")
    await chats.create_session("s")
    call = chats.update_session("s", increment)
    with pytest.raises(StopIteration) as ended:  # it is over without having waited for anything
        call.send(None)
    assert ended.value.value.unwrap()["n"] == 1


async def test_updates_of_one_session_share_a_read_and_a_write_and_each_gets_its_own_result(
    storage: GatedStorage,
) -> None:
    desk = await desk_on(storage, "s")
    first = (await desk.get_session("s")).version
    assert first is not None
    tasks = await together(storage, desk, *(desk.update_session("s", append(n)) for n in range(5)))
    results = await asyncio.gather(*tasks)
    assert (storage.reads, storage.writes) == ([["s"]], [{"s": 5}])
    assert [result.unwrap()["turns"] for result in results] == [[*range(n + 1)] for n in range(5)]
    assert [result.version for result in results] == [first + 1 + n for n in range(5)]
    read = await desk.get_session("s")
    assert (read.unwrap()["turns"], read.version) == ([*range(5)], first + 5)
    assert {result.metadata.updated_at for result in results if result.metadata} == {read.metadata.updated_at}  # type: ignore[union-attr]


async def test_updates_of_several_sessions_share_one_read_and_one_write(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "a", "b", "c")
    calls = [desk.update_session(name, append(n)) for n in range(2) for name in "cab"]
    results = await asyncio.gather(*await together(storage, desk, *calls))
    assert (storage.reads, storage.writes) == ([["c", "a", "b"]], [{"c": 2, "a": 2, "b": 2}])
    assert [(result.session_id, result.unwrap()["turns"]) for result in results] == [
        *((name, [0]) for name in "cab"),
        *((name, [0, 1]) for name in "cab"),
    ]


async def test_each_update_gets_its_own_copy_of_the_state(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    given: list[Chat] = []

    def keep(state: Chat) -> None:
        increment(state)
        given.append(state)

    results = await asyncio.gather(*await together(storage, desk, *(desk.update_session("s", keep) for _ in range(3))))
    states = [result.unwrap() for result in results]
    for state in (*given, *states):
        state["turns"].append("only mine")
    assert [state["turns"] for state in (*given, *states)] == [["only mine"]] * 6
    assert (await desk.get_session("s")).unwrap() == {"id": "s", "n": 3, "turns": []}


async def test_a_function_runs_in_the_context_of_its_caller(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    who: ContextVar[str] = ContextVar("who", default="nobody")

    async def sign(name: str) -> None:
        who.set(name)
        await desk.update_session("s", lambda state: state["turns"].append(who.get()))

    await asyncio.gather(*await together(storage, desk, *map(sign, ("ann", "bob", "cem"))))
    assert storage.writes == [{"s": 3}]
    assert (await desk.get_session("s")).unwrap()["turns"] == ["ann", "bob", "cem"]
    assert who.get() == "nobody"


async def test_an_expected_version_is_compared_after_the_earlier_updates_of_the_batch(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    first = (await desk.get_session("s")).version
    assert first is not None
    expected = [None, first + 1, first + 1, first, first + 2, None, first + 9]
    calls = [desk.update_session("s", append(n), expected_version=version) for n, version in enumerate(expected)]
    results = await asyncio.gather(*await together(storage, desk, *calls))
    assert storage.writes == [{"s": 4}]
    assert [result.version for result in results] == [first + 1, first + 2, None, None, first + 3, first + 4, None]
    conflicts = [result.error for result in results if isinstance(result.error, SessionConflictError)]
    assert [(error.expected - first, error.actual - first) for error in conflicts] == [(1, 2), (0, 2), (9, 4)]
    assert (await desk.get_session("s")).unwrap()["turns"] == [0, 1, 4, 5]


async def test_a_function_that_fails_or_makes_a_bad_state_fails_alone(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")

    class Stop(BaseException):
        pass

    def spoil_and(error: BaseException) -> Callable[[Chat], None]:
        def spoil(state: Chat) -> None:
            state["n"] = 1000
            raise error

        return spoil

    raised = [ZeroDivisionError(), Stop(), LookupError()]
    calls = [
        desk.update_session("s", change)
        for error in raised
        for change in (increment, spoil_and(error), append(float("nan")))
    ]

    async def caught(call: asyncio.Future[object]) -> object:
        try:
            return await call
        except BaseException as error:  # noqa: BLE001
            return error

    tasks = await together(storage, desk, *(caught(call) for call in calls))  # type: ignore[arg-type]
    results = await asyncio.gather(*tasks)
    assert storage.writes == [{"s": 3}]
    assert [results[n].unwrap()["n"] for n in (0, 3, 6)] == [1, 2, 3]
    assert [results[n] for n in (1, 4, 7)] == raised
    assert [type(results[n].error) for n in (2, 5, 8)] == [InvalidStateError] * 3
    assert (await desk.get_session("s")).unwrap() == {"id": "s", "n": 3, "turns": []}


async def test_updates_that_all_fail_write_nothing(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    calls = [desk.update_session("s", append(float("nan"))) for _ in range(3)]
    results = await asyncio.gather(*await together(storage, desk, *calls))
    assert [type(result.error) for result in results] == [InvalidStateError] * 3
    assert (storage.reads, storage.writes) == ([["s"]], [])


async def test_each_caller_that_finds_no_session_gets_its_own_error(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    calls = [desk.update_session(name, increment) for name in ("never", "s", "never")]
    results = await asyncio.gather(*await together(storage, desk, *calls))
    assert [type(result.error) for result in results] == [SessionNotFoundError, type(None), SessionNotFoundError]
    assert results[0].error is not results[2].error
    assert results[1].unwrap()["n"] == 1


async def test_a_conflict_with_another_process_applies_only_that_session_again(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "a", "b", "c")
    ran: list[str] = []
    losses = iter(["b", "b"])

    def lose() -> None:
        if name := next(losses, None):
            storage.count_up(name)

    storage.lose = lose
    calls = [desk.update_session(name, lambda state: ran.append(state["id"]) or increment(state)) for name in "abcb"]
    results = await asyncio.gather(*await together(storage, desk, *calls))
    assert storage.reads == [["a", "b", "c"], ["b"], ["b"]]
    assert storage.writes == [{"a": 1, "b": 2, "c": 1}, {"b": 2}, {"b": 2}]
    assert sorted(ran) == ["a", *["b"] * 6, "c"]
    assert [result.unwrap()["n"] for result in results] == [1, 1, 1, 2]


async def test_sessions_that_lose_again_and_again_are_locked_together_and_no_others(
    storage: GatedStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Functions that take longer than a slice of time are applied under a lock of their own.
    monkeypatch.setattr("sessionstore.updates.contended.SLICE", 60.0)
    desk = await desk_on(storage, "a", "b", "c")

    def lose() -> None:
        storage.count_up("c")
        storage.count_up("a")

    storage.lose = lose
    calls = [desk.update_session(name, append(n)) for n, name in enumerate("abcacb")]
    results = await asyncio.gather(*await together(storage, desk, *calls))
    assert len(storage.writes) == OPTIMISTIC_ROUNDS
    assert storage.locks == [["a", "c"]]
    assert [result.unwrap()["turns"] for result in results] == [[0], [1], [2], [0, 3], [2, 4], [1, 5]]
    for name, said in (("a", [0, 3]), ("b", [1, 5]), ("c", [2, 4])):
        read = await desk.get_session(name)
        assert read.unwrap()["turns"] == said
        assert read.version == [result.version for result in results if result.session_id == name][-1]


@pytest.mark.parametrize("losses", [1, OPTIMISTIC_ROUNDS], ids=["once", "until it is locked"])
async def test_an_error_that_depended_on_a_change_in_conflict_is_not_reported(
    storage: GatedStorage, losses: int
) -> None:
    desk = await desk_on(storage, "s")
    left = iter(range(losses))

    def lose() -> None:
        if next(left, None) is not None:
            # Another caller writes first.
            document = storage._documents[Key("chat", "s")]
            text = '{"id":"s","n":0,"turns":["taken"]}'
            assert storage._documents.write(Write(document.summary, text), storage._now())

    def take(state: Chat) -> None:
        if "taken" in state["turns"]:
            return
        state["turns"].append("mine")

    def give_back(state: Chat) -> None:
        if "mine" in state["turns"]:
            raise LookupError("it is yours")
        state["n"] += 1

    storage.lose = lose
    results = await asyncio.gather(
        *await together(storage, desk, desk.update_session("s", take), desk.update_session("s", give_back))
    )
    assert [(result.unwrap()["turns"], result.unwrap()["n"]) for result in results] == [(["taken"], 0), (["taken"], 1)]


async def test_without_batching_each_update_is_sent_alone() -> None:
    storage = GatedStorage(batching=None)
    desk = await desk_on(storage, "s", "t")
    storage.reading.hold()
    tasks = await begun(*(desk.update_session(name, increment) for name in "ststs"))
    assert storage.reads == [["s"], ["t"], ["s"], ["t"], ["s"]]
    storage.reading.release()
    assert all(result.success for result in await asyncio.gather(*tasks))
    assert {len(writes) for writes in storage.writes} == {1}
    assert [(await desk.get_session(name)).unwrap()["n"] for name in "st"] == [3, 2]


async def test_managers_of_one_storage_share_batches(storage: GatedStorage) -> None:
    desks = [await desk_on(storage, "s"), SessionManager(new_chat, storage, "chat"), SessionManager(new_chat, storage)]
    await desks[2].create_session("s")
    calls = [desk.update_session("s", append(n)) for n, desk in enumerate(desks)]
    results = await asyncio.gather(*await together(storage, desks[0], *calls))
    assert [result.unwrap()["turns"] for result in results] == [[0], [0, 1], [2]]
    assert (len(storage.reads), len(storage.writes)) == (1, 1)
    assert UpdateLoop.of(storage) is UpdateLoop.of(storage)
    assert UpdateLoop.of(storage) is not UpdateLoop.of(GatedStorage())


async def test_no_batch_exceeds_its_size_and_no_more_are_under_way_than_the_concurrency() -> None:
    storage = GatedStorage(batching=Batching(size=3, concurrency=2))
    desk = await desk_on(storage, *map(str, range(12)))
    storage.writing.hold()
    tasks = await begun(*(desk.update_session(str(n), increment) for n in range(12)))
    while not all(task.done() for task in tasks):
        assert 0 < storage.writing.here <= 2
        storage.writing.release()
        storage.writing.hold()
        await turns()
    assert max(map(len, storage.writes)) == 3
    assert all(task.result().success for task in tasks)


async def test_slow_functions_leave_turns_to_other_tasks(
    storage: GatedStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await desk_on(storage, *map(str, range(6)))
    ran: list[str] = []
    monkeypatch.setattr("sessionstore.concurrency.pace.SLICE", -1.0)

    async def others() -> None:
        while not all(task.done() for task in tasks):
            ran.append("other")
            await asyncio.sleep(0)

    calls = [desk.update_session(str(n), lambda state: ran.append("update") or increment(state)) for n in range(6)]
    storage.reading.hold()
    tasks = await begun(desk.update_session("nobody", increment), *calls)
    ran.clear()
    storage.reading.release()
    await asyncio.gather(others(), *tasks)
    first, last = ran.index("update"), len(ran) - ran[::-1].index("update")
    assert ran[first:last].count("other") >= 5
