"""The order, the batches and the context of the calls that a combiner sends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from sessionstore import StorageError
from sessionstore.concurrency.call import Batch
from sessionstore.concurrency.combine import Combiner

from ..support.sender import Sender, begun, combiner, turns

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def sender() -> Sender:
    return Sender()


async def test_a_lone_call_is_sent_in_its_callers_task_without_a_turn_of_the_event_loop() -> None:
    seen: list[tuple[object, int]] = []

    async def send(batch: Batch[str, str, str]) -> None:
        seen.append((asyncio.current_task(), len(asyncio.all_tasks())))
        batch["a"][0].answer("done")

    combiner: Combiner[str, str, str] = Combiner(send, size=10, concurrency=1, min_parallel=4, alone=True)
    before = len(asyncio.all_tasks())
    for _ in range(3):
        call: Coroutine[Any, Any, str] = combiner.call("a", "1")
        with pytest.raises(StopIteration) as ended:  # it is over without having waited for anything
            call.send(None)
        assert ended.value.value == "done"
    assert seen == [(asyncio.current_task(), before)] * 3


async def test_calls_that_arrive_during_a_batch_form_the_next_batch(sender: Sender) -> None:
    combined = combiner(sender)
    tasks = await begun(*(combined.call(key, f"{key}1") for key in "abcd"))
    assert sender.asked == [{"a": ["a1"]}]
    assert sender.flights[0].task is tasks[0]
    await sender.land()
    assert sender.under_way == [{"b": ["b1"], "c": ["c1"], "d": ["d1"]}]
    assert sender.flights[1].task not in tasks
    await sender.land()
    assert await asyncio.gather(*tasks) == ["a1", "b1", "c1", "d1"]


async def test_calls_of_one_key_stay_in_order_and_keys_are_in_the_order_of_their_first_calls(sender: Sender) -> None:
    combined = combiner(sender)
    tasks = await begun(combined.call("x", "0"), *(combined.call(key, n) for n in "123" for key in "ba"))
    await sender.land()
    assert list(sender.flights[1].asked.items()) == [("b", ["1", "2", "3"]), ("a", ["1", "2", "3"])]
    await sender.land()
    assert await asyncio.gather(*tasks) == ["0", "1", "1", "2", "2", "3", "3"]


async def test_a_key_with_more_calls_than_a_batch_holds_continues_behind_the_other_keys(sender: Sender) -> None:
    combined = combiner(sender, size=4)
    calls = [combined.call("busy", str(n)) for n in range(7)]
    tasks = await begun(combined.call("x", "0"), *calls, *(combined.call(f"k{n}", "1") for n in range(4)))
    await sender.land()
    assert sender.under_way == [{"busy": ["0", "1", "2", "3"]}]
    tasks += await begun(combined.call("busy", "7"))
    await sender.land()
    assert sender.under_way == [{"k0": ["1"], "k1": ["1"], "k2": ["1"], "k3": ["1"]}]
    await sender.land()
    assert sender.under_way == [{"busy": ["4", "5", "6", "7"]}]
    await sender.land_all()
    await asyncio.gather(*tasks)


async def test_a_key_whose_calls_exclude_each_other_is_in_one_batch_at_a_time(sender: Sender) -> None:
    combined = combiner(sender, concurrency=3, min_parallel=1, alone=True)
    tasks = await begun(*(combined.call("a", str(n)) for n in range(3)), combined.call("b", "0"))
    assert sender.under_way == [{"a": ["0"]}, {"b": ["0"]}]
    tasks += await begun(combined.call("c", "0"))
    assert sender.under_way[2:] == [{"c": ["0"]}]
    sender.flights[1].land()
    await turns()
    assert sender.under_way == [{"a": ["0"]}, {"c": ["0"]}]
    sender.flights[0].land()
    await turns()
    assert sender.under_way == [{"c": ["0"]}, {"a": ["1", "2"]}]
    await sender.land_all()
    assert await asyncio.gather(*tasks) == ["0", "1", "2", "0", "0"]


async def test_a_caller_that_was_just_answered_and_calls_again_joins_the_next_batch(sender: Sender) -> None:
    combined = combiner(sender)

    async def again_and_again(key: str) -> None:
        for n in range(4):
            await combined.call(key, str(n))

    tasks = await begun(*map(again_and_again, "abcdef"))
    await sender.land_all()
    await asyncio.gather(*tasks)
    # After the first call, all calls are in one batch. They do not alternate between two batches.
    assert [len(flight.calls) for flight in sender.flights][:4] == [1, 6, 6, 6]
    assert len(sender.flights) == 5


async def test_callers_that_were_sent_alone_and_call_again_at_once_are_sent_together(
    sender: Sender,
) -> None:
    combined = combiner(sender, concurrency=2)

    async def again_and_again(key: str) -> None:
        for n in range(2):
            await combined.call(key, str(n))

    tasks = await begun(*map(again_and_again, "ab"))
    assert sender.under_way == [{"a": ["0"]}, {"b": ["0"]}]
    sender.flights[0].land()
    await turns()
    assert sender.under_way == [{"b": ["0"]}]
    await sender.land_all()
    await asyncio.gather(*tasks)
    assert sender.asked[2:] == [{"a": ["1"], "b": ["1"]}]


async def test_a_call_some_time_after_another_one_landed_is_sent_at_once(sender: Sender) -> None:
    combined = combiner(sender, concurrency=2)
    tasks = await begun(combined.call("a", "0"), combined.call("b", "0"))
    sender.flights[0].land()
    await turns()
    tasks += await begun(combined.call("c", "0"))
    assert sender.under_way == [{"b": ["0"]}, {"c": ["0"]}]
    assert sender.flights[2].task is tasks[2]
    await sender.land_all()
    await asyncio.gather(*tasks)


async def test_callers_that_were_just_answered_all_join_the_next_batch() -> None:
    sizes: list[int] = []

    async def send(batch: Batch[str, str, str]) -> None:
        sizes.append(sum(map(len, batch.values())))
        await turns(2)
        for calls in batch.values():
            for call in calls:
                call.answer("")

    combined: Combiner[str, str, str] = Combiner(send, size=10, concurrency=1, min_parallel=4, alone=False)

    async def again_and_again(key: str) -> None:
        for _ in range(4):
            await combined.call(key, "")

    await asyncio.gather(*map(again_and_again, "abcdef"))
    assert sizes == [1, 6, 6, 6, 5]


async def test_a_new_call_does_not_overtake_waiting_calls(sender: Sender) -> None:
    combined = combiner(sender, size=2)
    tasks = await begun(*(combined.call(f"k{n}", str(n)) for n in range(4)))
    sender.flights[0].land()
    tasks += await begun(combined.call("new", "4"))
    await sender.land_all()
    await asyncio.gather(*tasks)
    assert [call.request for flight in sender.flights for call in flight.calls] == ["0", "1", "2", "3", "4"]


async def test_a_batch_is_sent_in_the_context_of_no_caller() -> None:
    who: ContextVar[str] = ContextVar("who", default="nobody")
    seen: list[str] = []
    gate = asyncio.Event()

    async def send(batch: Batch[str, str, str]) -> None:
        seen.append(who.get())
        await gate.wait()
        for calls in batch.values():
            for call in calls:
                call.answer(who.get())

    combined: Combiner[str, str, str] = Combiner(send, size=10, concurrency=1, min_parallel=4, alone=False)

    async def call(name: str) -> str:
        who.set(name)
        return await combined.call(name, "")

    tasks = await begun(*map(call, ("ann", "bob", "cem")))
    gate.set()
    assert await asyncio.gather(*tasks) == ["ann", "nobody", "nobody"]
    assert seen == ["ann", "nobody"]


def _calls_at_once(combined: Combiner[str, str, Any], *keys: str) -> list[Any]:
    async def main() -> list[Any]:
        return list(await asyncio.wait_for(asyncio.gather(*(combined.call(key, key) for key in keys)), 5))

    return asyncio.run(main())


def test_a_batch_of_a_closed_event_loop_does_not_delay_calls_of_the_next_loop(sender: Sender) -> None:
    combined = combiner(sender, alone=True)

    async def leave_behind() -> None:
        await begun(*(combined.call(key, key) for key in "aab"))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_behind())
    left = asyncio.all_tasks(loop)
    loop.call_soon(loop.stop)
    loop.run_forever()

    async def answer(batch: Batch[str, str, Any]) -> None:
        for calls in batch.values():
            for call in calls:
                call.answer(call.request)

    combined._send = answer
    loop.close()
    assert _calls_at_once(combined, "a", "b", "a") == ["a", "b", "a"]
    assert len(left) == 3
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # they were left behind on purpose


def test_calls_of_a_key_exclude_each_other_in_a_second_event_loop_too() -> None:
    under_way: list[str] = []
    overlapped: list[str] = []

    async def send(batch: Batch[str, str, Any]) -> None:
        overlapped.extend(key for key in batch if key in under_way)
        under_way.extend(batch)
        await turns(3)
        for key, calls in batch.items():
            under_way.remove(key)
            for call in calls:
                call.answer(call.request)

    combined: Combiner[str, str, Any] = Combiner(send, size=10, concurrency=2, min_parallel=4, alone=True)
    for _ in range(3):
        assert _calls_at_once(combined, "a", "a", "a", "b") == ["a", "a", "a", "b"]
    assert overlapped == []


async def test_a_combiner_works_after_an_error_of_the_storage(sender: Sender) -> None:
    combined = combiner(sender)
    (task,) = await begun(combined.call("a", ""))
    error = StorageError("it failed")
    sender.flights[0].fail(error)
    with pytest.raises(StorageError) as raised:
        await task
    assert raised.value is error
    (task,) = await begun(combined.call("a", "again"))
    await sender.land()
    assert await task == "again"
