"""The update functions of a batch: each runs in the task and context of its caller, and slow ones leave turns."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

from sessionstore import Batching, StorageError
from sessionstore.testing.support.documents import Chat, append, increment
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS

from ..support.gated import GatedStorage, desk_on, together
from ..support.sender import begun, ends, turns

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def storage() -> GatedStorage:
    return GatedStorage()


async def test_a_function_runs_in_the_task_of_its_caller(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    seen: list[object] = []

    def look(state: Chat) -> None:
        seen.append(asyncio.current_task())
        increment(state)

    tasks = await together(storage, desk, *(desk.update_session("s", look) for _ in range(3)))
    await asyncio.gather(*tasks)
    assert seen == tasks
    assert storage.writes == [{"s": 3}]


async def test_a_function_that_cancels_the_current_task_cancels_only_its_own_caller(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s", "t")

    def give_up(state: Chat) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        increment(state)

    calls = [
        desk.update_session("s", increment),
        desk.update_session("s", give_up),
        desk.update_session("t", give_up),
        desk.update_session("s", increment),
        desk.update_session("t", increment),
    ]
    tasks = await together(storage, desk, *calls)
    told = await ends(tasks)
    assert [task.cancelled() for task in tasks] == [False, True, True, False, False]
    assert [told[n].unwrap()["n"] for n in (0, 3, 4)] == [1, 2, 1]
    for name, count in (("s", 2), ("t", 1)):
        assert (await desk.get_session(name)).unwrap()["n"] == count
    assert (await desk.update_session("t", increment)).unwrap()["n"] == 2


ERRORS = [asyncio.CancelledError(), GeneratorExit(), KeyboardInterrupt(), SystemExit(3), KeyError("mine")]


@pytest.mark.parametrize("limit", [None, timedelta(seconds=30)], ids=["", "in time"])
@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_an_exception_of_a_function_reaches_only_its_own_caller(
    storage: GatedStorage, error: BaseException, limit: timedelta | None
) -> None:
    desk = await desk_on(storage, "s")

    def fail(_: Chat) -> None:
        raise error

    async def caught(call: Coroutine[Any, Any, object]) -> object:
        try:
            return await call
        except BaseException as raised:  # noqa: BLE001
            return raised

    calls = [desk.update_session("s", function, timeout=limit) for function in (increment, fail, increment)]
    first, failed, last = await asyncio.gather(*await together(storage, desk, *map(caught, calls)))
    # A task that was cancelled raises a CancelledError of its own.
    assert failed is error or (limit is not None and type(failed) is type(error) is asyncio.CancelledError)
    assert [first.unwrap()["n"], last.unwrap()["n"]] == [1, 2]


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes each function take longer than a slice of Pace."""
    monkeypatch.setattr("sessionstore.concurrency.pace.SLICE", -1.0)
    monkeypatch.setattr("sessionstore.updates.contended.SLICE", -1.0)


class Ran:
    """The order in which update functions and other callbacks of the event loop ran."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def count(self, state: Chat) -> None:
        self.order.append("update")
        increment(state)

    async def others(self, tasks: list[asyncio.Task[Any]]) -> None:
        while not all(task.done() for task in tasks):
            self.order.append("other")
            await asyncio.sleep(0)

    @property
    def stretches(self) -> list[int]:
        """The numbers of functions that ran between two turns of other tasks."""
        return [len(ran) for ran in "".join(it[0] for it in self.order).split("o") if ran]


@pytest.mark.usefixtures("no_time")
@pytest.mark.parametrize("batching", [Batching(concurrency=1), None], ids=["together", "each by itself"])
@pytest.mark.parametrize("names", ["ssssssss", "abcdefgh", "ababcdcd"])
async def test_other_tasks_get_a_turn_between_two_slow_functions(batching: Batching | None, names: str) -> None:
    storage = GatedStorage(batching=batching)
    desk = await desk_on(storage, *set(names))
    ran = Ran()
    storage.reading.hold()
    tasks = await begun(*(desk.update_session(name, ran.count) for name in names))
    storage.reading.release()
    await asyncio.gather(ran.others(tasks), *tasks)
    # In one turn of the event loop the others come first, in the next one perhaps last.
    assert max(ran.stretches) <= 2
    assert sum([(await desk.get_session(name)).unwrap()["n"] for name in set(names)]) == len(names)


@pytest.mark.usefixtures("no_time")
@pytest.mark.parametrize("names", ["ssssssss", "abcdefgh"])
async def test_other_tasks_get_a_turn_between_slow_functions_on_the_write_cache(
    storage: GatedStorage, names: str
) -> None:
    desk = await desk_on(storage, *set(names))
    for name in set(names):
        await desk.update_session(name, increment)
    ran = Ran()
    storage.writing.hold()
    blocker = await begun(desk.update_session(names[0], increment))
    tasks = await begun(*(desk.update_session(name, ran.count) for name in names))
    storage.reads.clear()
    storage.writing.release()
    await asyncio.gather(ran.others(tasks), *blocker, *tasks)
    assert storage.reads == []
    # In one turn of the event loop the others come first, in the next one perhaps last.
    assert max(ran.stretches) <= 2


@pytest.mark.usefixtures("no_time")
async def test_no_more_than_one_slow_function_runs_under_a_row_lock(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    ran = Ran()
    losing = iter(range(OPTIMISTIC_ROUNDS))

    def lose() -> None:
        if next(losing, None) is not None:
            storage.count_up("s")

    storage.lose = lose
    tasks = await together(storage, desk, *(desk.update_session("s", ran.count) for _ in range(5)))
    results = await asyncio.gather(*tasks, ran.others(tasks))
    assert [result.unwrap()["n"] for result in results[:-1]] == [1, 2, 3, 4, 5]
    assert storage.locks == [["s"]] * 5


async def test_a_task_factory_without_a_context_argument_works(storage: GatedStorage) -> None:
    def plain(loop: asyncio.AbstractEventLoop, running: Any) -> asyncio.Task[Any]:
        return asyncio.Task(running, loop=loop)

    desk = await desk_on(storage, "s")
    loop = asyncio.get_running_loop()
    loop.set_task_factory(plain)
    try:
        tasks = await begun(*(desk.update_session("s", append(n)) for n in range(4)))
        async with asyncio.timeout(30):
            results = await asyncio.gather(*tasks)
    finally:
        loop.set_task_factory(None)
    assert results[-1].unwrap()["turns"] == [0, 1, 2, 3]


async def test_the_callers_of_a_batch_that_cannot_start_get_an_error_and_the_next_batch_works(
    storage: GatedStorage,
) -> None:
    desk = await desk_on(storage, "s", "t")
    storage.reading.hold()
    tasks = await begun(*(desk.update_session("s", append(n)) for n in range(4)))
    loop = asyncio.get_running_loop()

    def broken(_: asyncio.AbstractEventLoop, __: Any) -> Any:
        raise LookupError("no tasks today")

    loop.set_task_factory(broken)
    storage.reading.release()
    try:
        await turns()
    finally:
        loop.set_task_factory(None)
    told = await ends(tasks)
    assert told[0].unwrap()["turns"] == [0]
    assert [type(error) for error in told[1:]] == [StorageError] * 3
    assert len({id(error) for error in told[1:]}) == 3
    assert isinstance(told[1].__cause__, LookupError)
    assert (await desk.update_session("s", append(4))).unwrap()["turns"] == [0, 4]
