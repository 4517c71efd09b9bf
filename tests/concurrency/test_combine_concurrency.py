"""The number and the size of the batches that a combiner has under way."""

from __future__ import annotations

import asyncio

import pytest

from sessionstore.concurrency.call import Batch
from sessionstore.concurrency.combine import Combiner

from ..support.sender import Sender, begun, combiner, turns

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def sender() -> Sender:
    return Sender()


async def test_a_call_is_sent_alone_while_few_others_are_under_way(sender: Sender) -> None:
    combined = combiner(sender, concurrency=5, min_parallel=3)
    tasks = await begun(*(combined.call(f"k{n}", "") for n in range(4)))
    assert sender.under_way == [{"k0": [""]}, {"k1": [""]}, {"k2": [""]}]
    assert [flight.task for flight in sender.flights] == tasks[:3]
    await sender.land_all()
    await asyncio.gather(*tasks)


async def test_a_large_batch_is_sent_beside_another_and_a_small_one_waits(sender: Sender) -> None:
    combined = combiner(sender, concurrency=2, min_parallel=3)
    tasks = await begun(*(combined.call(f"k{n}", "") for n in range(5)))
    sender.flights[0].land()
    await turns()
    # Three keys wait, and another batch could be sent.
    assert sender.under_way == [{"k1": [""]}, {"k2": [""], "k3": [""], "k4": [""]}]
    sender.flights[1].land()
    tasks += await begun(*(combined.call(f"l{n}", "") for n in range(2)))
    assert len(sender.under_way) == 1
    tasks += await begun(combined.call("l2", ""))
    assert sender.under_way[1:] == [{"l0": [""], "l1": [""], "l2": [""]}]
    tasks += await begun(combined.call("m", ""))
    await sender.land()
    assert sender.under_way == [{"m": [""]}]
    await sender.land()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("alone", [False, True])
async def test_calls_that_waited_long_are_sent_beyond_the_concurrency(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, *, alone: bool
) -> None:
    combined = combiner(sender, concurrency=1, alone=alone)
    tasks = await begun(combined.call("slow", "0"))
    tasks += await begun(*(combined.call(key, "1") for key in ("slow", "a", "b")))
    assert sender.under_way == [{"slow": ["0"]}]
    # Later calls find that the batch takes too long.
    monkeypatch.setattr("sessionstore.concurrency.combine._SLOW_BATCH", 0.0)
    combined._queues.here()._timer = None
    tasks += await begun(combined.call("c", "1"))
    overtaking = {"a": ["1"], "b": ["1"], "c": ["1"]}
    assert sender.under_way[1:] == [overtaking if alone else {"slow": ["1"], **overtaking}]
    sender.flights[1].land()
    await asyncio.gather(*tasks[2:])
    assert sender.under_way == [{"slow": ["0"]}]
    await sender.land_all()
    assert await asyncio.gather(*tasks) == ["0", "1", "1", "1", "1"]


async def test_at_most_four_times_the_concurrency_is_used_for_calls_that_waited_long(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.concurrency.combine._SLOW_BATCH", 0.0)
    monkeypatch.setattr("sessionstore.concurrency.combine._LONGEST", 1 << 30)
    combined = combiner(sender, concurrency=2)
    tasks: list[asyncio.Task[str]] = []
    for n in range(20):
        tasks += await begun(combined.call(f"k{n}", str(n)))
    assert len(sender.under_way) == sender.most == 8
    while not all(task.done() for task in tasks):
        await sender.land()
    assert await asyncio.gather(*tasks) == [str(n) for n in range(20)]
    assert sender.most == 8
    # When batches are fast again, the concurrency applies again.
    monkeypatch.setattr("sessionstore.concurrency.combine._SLOW_BATCH", 3600.0)
    tasks = await begun(*(combined.call(f"k{n}", "") for n in range(9)))
    assert len(sender.under_way) == 2
    await sender.land_all()


async def test_a_batch_that_hangs_stops_counting_towards_the_concurrency(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.concurrency.combine._SLOW_BATCH", 0.0)
    monkeypatch.setattr("sessionstore.concurrency.combine._LONGEST", 3)
    combined = combiner(sender, concurrency=2, alone=True)
    hanging: list[asyncio.Task[str]] = []
    for n in range(20):
        hanging += await begun(combined.call(f"k{n}", "hangs"))
    await turns(100)
    assert len(sender.under_way) == 20
    (again,) = await begun(combined.call("k0", "again"))
    await turns(100)
    assert len(sender.under_way) == 20  # calls of one key exclude each other, however long it takes
    # A batch that stopped counting is not subtracted again when it ends.
    monkeypatch.setattr("sessionstore.concurrency.combine._SLOW_BATCH", 3600.0)
    await sender.land()
    await sender.land_all()
    await asyncio.gather(*hanging, again)
    tasks = await begun(*(combined.call(f"k{n}", "") for n in range(20)))
    assert len(sender.under_way) == 2
    await sender.land_all()
    await asyncio.gather(*tasks)


async def test_a_batch_whose_callers_were_all_cancelled_is_cancelled_and_another_is_sent(sender: Sender) -> None:
    combined = combiner(sender, concurrency=1, alone=True)
    lone, *gone = await begun(*(combined.call(key, key) for key in "xaab"))
    await sender.land()
    assert sender.under_way == [{"a": ["a", "a"], "b": ["b"]}]
    sender.flights[1].calls[2].answer("early")
    waiting = await begun(combined.call("a", "next"), combined.call("c", "next"))
    gone[0].cancel()
    await turns()
    assert len(sender.under_way) == 1  # the other caller of the session still waits
    gone[1].cancel()
    await turns()
    assert sender.under_way == [{"a": ["next"], "c": ["next"]}]
    assert (await lone, gone[2].result()) == ("x", "early")
    await sender.land()
    assert await asyncio.gather(*waiting) == ["next", "next"]
    assert sender.most == 1


async def test_an_abandoned_batch_that_does_not_end_delays_no_other_call() -> None:
    ended = asyncio.Event()

    async def send(batch: Batch[str, str, str]) -> None:
        if "stuck" in batch:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await ended.wait()  # as a driver does that waits for the server's word
                raise
        elif "first" in batch:
            await turns(2)
        for calls in batch.values():
            for call in calls:
                call.answer("done")

    combined: Combiner[str, str, str] = Combiner(send, size=10, concurrency=1, min_parallel=4, alone=True)
    first, *stuck = await begun(*(combined.call(key, "") for key in ("first", "stuck", "stuck")))
    await first
    await turns()
    for task in stuck:
        task.cancel()
    await turns()
    (free,) = await begun(combined.call("free", ""))
    assert free.done()
    ended.set()
    await turns()


async def test_all_calls_that_waited_long_are_sent_one_batch_after_the_other(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.concurrency.combine._SLOW_BATCH", 0.0)
    combined = combiner(sender, size=1)
    tasks = await begun(*(combined.call(f"k{n}", str(n)) for n in range(4)))
    await turns(20)
    assert sender.under_way == [{f"k{n}": [str(n)]} for n in range(4)]
    await sender.land_all()
    await asyncio.gather(*tasks)


async def test_the_timer_ends_when_no_call_waits(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessionstore.concurrency.combine._SLOW_BATCH", 0.0)
    combined = combiner(sender)
    tasks = await begun(*(combined.call(key, "") for key in "ab"))
    await sender.land_all()
    await asyncio.gather(*tasks)
    await turns()
    assert combined._queues.here()._timer is None


async def test_batches_respect_the_size_and_the_concurrency(
    sender: Sender,
) -> None:
    combined = combiner(sender, size=5, concurrency=2)
    tasks = await begun(*(combined.call(f"k{n}", str(n)) for n in range(30)))
    assert len(sender.flights) == 2
    await sender.land_all()
    assert await asyncio.gather(*tasks) == [str(n) for n in range(30)]
    assert sender.most == 2
    sizes = [len(flight.calls) for flight in sender.flights]
    assert (sizes[:2], max(sizes), sum(sizes)) == ([1, 1], 5, 30)
    in_order = [call.request for flight in sender.flights for call in flight.calls]
    assert in_order == [str(n) for n in range(30)]


async def test_a_size_of_one_sends_each_call_alone(sender: Sender) -> None:
    combined = combiner(sender, size=1, concurrency=3)
    tasks = await begun(*(combined.call("a", str(n)) for n in range(7)))
    await sender.land_all()
    assert await asyncio.gather(*tasks) == [str(n) for n in range(7)]
    assert sender.asked == [{"a": [str(n)]} for n in range(7)]
    assert sender.most == 3


async def test_waiting_calls_are_divided_between_the_batches_that_may_be_sent(sender: Sender) -> None:
    combined = combiner(sender, size=100, concurrency=2)
    tasks = await begun(*(combined.call(f"k{n}", str(n)) for n in range(22)))
    await sender.land()
    assert [len(asked) for asked in sender.under_way] == [10, 10]
    await sender.land_all()
    await asyncio.gather(*tasks)


async def test_a_few_calls_are_not_divided(sender: Sender) -> None:
    combined = combiner(sender, concurrency=2)
    tasks = await begun(*(combined.call(f"k{n}", str(n)) for n in range(5)))
    await sender.land()
    assert [len(asked) for asked in sender.under_way] == [3]
    await sender.land_all()
    await asyncio.gather(*tasks)


async def test_calls_of_one_key_are_not_divided(sender: Sender) -> None:
    combined = combiner(sender, size=100, concurrency=2, alone=True)
    tasks = await begun(*(combined.call(key, str(n)) for n in range(20) for key in "ab"))
    await sender.land()
    assert [{key: len(calls) for key, calls in asked.items()} for asked in sender.under_way] == [{"a": 19, "b": 19}]
    await sender.land_all()
    await asyncio.gather(*tasks)


async def test_a_key_whose_calls_do_not_exclude_each_other_fills_the_concurrency(sender: Sender) -> None:
    combined = combiner(sender, concurrency=2)
    tasks = await begun(*(combined.call("a", str(n)) for n in range(2)))
    assert sender.under_way == [{"a": ["0"]}, {"a": ["1"]}]
    await sender.land_all()
    await asyncio.gather(*tasks)


async def test_heavy_calls_make_batches_small_enough_for_the_capacity(sender: Sender) -> None:
    combined = combiner(sender, size=8)
    tasks = await begun(*(combined.call(f"k{n}", "") for n in range(60)))
    lengths: list[int] = []
    # Heavy calls shrink the batches at once, light calls let them grow slowly.
    for weight in (30, 100, 1, 1, 1, 1, 1, 1000):
        combined.fit([weight], 100)
        await sender.land()
        lengths.append(len(sender.under_way[0]))
    assert lengths == [3, 1, 2, 4, 8, 8, 8, 1]
    await sender.land_all()
    await asyncio.gather(*tasks)


async def test_the_first_batch_has_few_keys_because_their_weight_is_unknown(sender: Sender) -> None:
    combined: Combiner[str, str, str] = Combiner(
        sender, size=128, concurrency=1, min_parallel=4, alone=True, weighed=True
    )
    calls = [combined.call(f"k{n % 40}", "") for n in range(120)]
    tasks = await begun(combined.call("first", ""), *calls)
    await sender.land()
    assert [len(asked) for asked in sender.under_way] == [4]
    assert len(sender.flights[1].calls) == 12  # those of one key share what is read
    combined.fit([1], 1000)
    await sender.land()
    assert [len(asked) for asked in sender.under_way] == [36]
    await sender.land_all()
    await asyncio.gather(*tasks)
