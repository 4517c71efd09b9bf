"""The answers and errors that callers of a combiner get; by_key()."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from sessionstore import (
    SchemaError,
    SessionStoreError,
    StorageError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)
from sessionstore.concurrency.combine import Combiner
from sessionstore.concurrency.halves import by_key

from ..support.sender import Sender, begun, combiner, turns

pytestmark = pytest.mark.usefixtures("patient")


class _Stop(BaseException):
    """A BaseException that is no Exception, as KeyboardInterrupt."""


@pytest.fixture
def sender() -> Sender:
    return Sender()


async def _held(sender: Sender, *requests: str) -> list[asyncio.Task[Any]]:
    """Tasks of these calls, which are under way in one batch."""
    combined = combiner(sender)
    first, *tasks = await begun(combined.call("x", ""), *(combined.call(request, request) for request in requests))
    await sender.land()
    await first
    return tasks


async def test_a_call_that_is_cancelled_while_it_waits_is_never_sent(sender: Sender) -> None:
    combined = combiner(sender)
    tasks = await begun(*(combined.call(key, f"{key}{n}") for n, key in enumerate("xababc")))
    for n in (1, 3, 5):
        tasks[n].cancel()
    await turns()
    assert [task.cancelled() for task in tasks] == [False, True, False, True, False, True]
    await sender.land_all()
    assert sender.asked == [{"x": ["x0"]}, {"b": ["b2", "b4"]}]
    assert [tasks[n].result() for n in (0, 2, 4)] == ["x0", "b2", "b4"]


async def test_nothing_is_sent_for_calls_that_were_all_cancelled(sender: Sender) -> None:
    combined = combiner(sender)
    tasks = await begun(*(combined.call(key, key) for key in "xab"))
    for task in tasks[1:]:
        task.cancel()
    await turns()
    await sender.land_all()
    assert sender.asked == [{"x": ["x"]}]
    assert not combined._queues.here()._waiting
    (task,) = await begun(combined.call("a", "again"))
    await sender.land()
    assert await task == "again"


async def test_a_call_that_is_cancelled_in_a_batch_does_not_cancel_the_others(sender: Sender) -> None:
    tasks = await _held(sender, "a", "b", "c")
    tasks[1].cancel()
    await turns()
    assert [task.done() for task in tasks] == [False, True, False]
    assert [call.withdrawn for call in sender.flights[1].calls] == [False, True, False]
    await sender.land()
    assert (tasks[0].result(), tasks[1].cancelled(), tasks[2].result()) == ("a", True, "c")


async def test_waiting_calls_are_sent_after_a_lone_call_is_cancelled(sender: Sender) -> None:
    combined = combiner(sender, alone=True)
    lone, *others = await begun(*(combined.call("a", str(n)) for n in range(3)))
    lone.cancel()
    await turns()
    assert lone.cancelled()
    assert sender.under_way == [{"a": ["1", "2"]}]
    await sender.land()
    assert await asyncio.gather(*others) == ["1", "2"]


@pytest.mark.parametrize(
    "error",
    [
        StorageError("refused", code="23514"),
        StorageUnavailableError("away"),
        UpdateOutcomeUnknownError("lost", code="57P01"),
        SchemaError("moved on", found="2", wanted="1"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_each_caller_of_a_failed_batch_gets_a_copy_of_the_error(sender: Sender, error: SessionStoreError) -> None:
    tasks = await _held(sender, "a", "b", "c")
    error.__cause__ = OSError("of the driver")
    sender.flights[1].fail(error)
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert len(set(map(id, told))) == 3
    for its_own in told:
        assert isinstance(its_own, SessionStoreError)
        assert type(its_own) is type(error)
        assert str(its_own) == str(error)
        assert vars(its_own) == vars(error)
        assert its_own.__cause__ is error.__cause__


async def test_a_call_that_was_answered_before_its_batch_failed_keeps_the_answer(sender: Sender) -> None:
    tasks = await _held(sender, "a", "b")
    sender.flights[1].calls[0].answer("early")
    await turns()
    assert tasks[0].result() == "early"
    sender.flights[1].fail(LookupError("late"))
    with pytest.raises(LookupError, match="late"):
        await tasks[1]


async def test_only_the_first_answer_counts(sender: Sender) -> None:
    (task,) = await _held(sender, "a")
    for answer in ("first", LookupError("second"), "third"):
        sender.flights[1].calls[0].answer(answer)
    await sender.land()
    assert await task == "first"


@pytest.mark.parametrize("error", [StopIteration(1), StopAsyncIteration(), _Stop(), LookupError()], ids=repr)
async def test_an_answer_may_be_any_exception(sender: Sender, error: BaseException) -> None:
    async def caught(key: str, combined: Combiner[str, str, Any]) -> BaseException | None:
        try:
            await combined.call(key, key)
        except BaseException as raised:  # noqa: BLE001
            # Python turns a StopIteration that leaves a coroutine into a RuntimeError.
            return raised.__cause__ if isinstance(raised, RuntimeError) else raised
        return None

    combined = combiner(sender)
    lone, first, second = await begun(*(caught(key, combined) for key in "abc"))
    sender.flights[0].calls[0].answer(error)
    await sender.land()
    sender.flights[1].calls[0].answer(error)
    await sender.land()
    assert [await task for task in (lone, first, second)] == [error, error, None]


async def test_the_callers_of_a_batch_whose_task_is_cancelled_get_an_error_and_the_next_batch_works(
    sender: Sender,
) -> None:
    combined = combiner(sender, alone=True)
    tasks = await begun(*(combined.call(key, key) for key in "xab"))
    await sender.land()
    sender.flights[1].calls[0].answer("early")
    flight = sender.flights[1].task
    assert flight is not None
    waiting = await begun(combined.call("b", "next"))
    flight.cancel()
    await turns()
    assert tasks[1].result() == "early"
    assert isinstance(tasks[2].exception(), StorageUnavailableError)  # nobody cancelled this caller
    assert sender.under_way == [{"b": ["next"]}]
    await sender.land()
    assert await waiting[0] == "next"


async def test_the_callers_of_a_batch_whose_task_is_cancelled_before_its_first_step_get_an_error(
    sender: Sender,
) -> None:
    combined = combiner(sender, alone=True)
    tasks = await begun(*(combined.call(key, key) for key in "xab"))
    loop = asyncio.get_running_loop()

    def cancelled_at_once(_: asyncio.AbstractEventLoop, running: Any, **options: Any) -> Any:
        task = asyncio.Task(running, loop=loop, **options)
        task.cancel()
        return task

    loop.set_task_factory(cancelled_at_once)
    try:
        await sender.land()
    finally:
        loop.set_task_factory(None)
    async with asyncio.timeout(10):
        await asyncio.wait(tasks)
    assert await tasks[0] == "x"
    assert [type(task.exception()) for task in tasks[1:]] == [StorageUnavailableError] * 2
    waiting = await begun(combined.call("b", "next"))
    await sender.land()
    assert await waiting[0] == "next"


class _Table:
    """A function of many keys that refuses some of them."""

    def __init__(self, **refused: StorageError) -> None:
        self.asked: list[list[str]] = []
        self.gate = asyncio.Event()
        self._refused = refused

    async def __call__(self, keys: Sequence[str]) -> Sequence[str]:
        self.asked.append(list(keys))
        await self.gate.wait()
        for key in keys:
            if key in self._refused:
                raise self._refused[key]
        return [key.upper() for key in keys]

    async def answers(self, *keys: str) -> list[Any]:
        """The answers to calls of these keys in one batch."""
        combined: Combiner[str, None, str] = Combiner(by_key(self), size=10, concurrency=1, min_parallel=4, alone=False)
        tasks = await begun(combined.call("first", None), *(combined.call(key, None) for key in keys))
        self.gate.set()
        return list(await asyncio.gather(*tasks[1:], return_exceptions=True))


async def test_calls_of_one_key_are_sent_once_and_all_are_answered() -> None:
    table = _Table()
    assert await table.answers("a", "b", "a", "a") == ["A", "B", "A", "A"]
    assert table.asked == [["first"], ["a", "b"]]


async def test_only_the_refused_key_of_a_batch_fails() -> None:
    table = _Table(b=StorageError("bad b"), d=StorageError("bad d"))
    answers = await table.answers("a", "b", "c", "d", "b")
    assert [answers[n] for n in (0, 2)] == ["A", "C"]
    assert [str(answers[n]) for n in (1, 3, 4)] == ["bad b", "bad d", "bad b"]
    assert answers[1] is not answers[4]
    assert table.asked == [["first"], ["a", "b", "c", "d"], ["a", "b"], ["a"], ["b"], ["c", "d"], ["c"], ["d"]]


@pytest.mark.parametrize("error", [StorageUnavailableError("away"), UpdateOutcomeUnknownError("lost")], ids=repr)
async def test_a_batch_is_not_bisected_when_the_storage_is_unavailable(error: StorageError) -> None:
    table = _Table(b=error)
    answers = await table.answers("a", "b", "c")
    assert [type(answer) for answer in answers] == [type(error)] * 3
    assert table.asked == [["first"], ["a", "b", "c"]]


async def test_a_single_refused_key_is_not_sent_again() -> None:
    table = _Table(b=StorageError("bad b"))
    answers = await table.answers("b", "b")
    assert list(map(str, answers)) == ["bad b", "bad b"]
    assert answers[0] is not answers[1]
    assert table.asked == [["first"], ["b"]]
