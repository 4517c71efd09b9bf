"""Combiner: sends concurrent calls in batches. Calls that arrive while a batch is under way form the next batch.

Databases call this group commit (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984).
The more calls arrive, the larger the batches, and the less each call costs. A lone call is sent at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Hashable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar

from ..errors import StorageError, StorageUnavailableError
from .call import Batch, Call, Flight, Send, spawn, tell
from .loops import PerLoop

K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q")
R = TypeVar("R")

_SLOW_BATCH: Final = 0.01
"""For how many seconds calls wait for the batches under way. After that, the calls are sent beside these batches."""

_OVERFLOW: Final = 4
"""While batches are slow, a combiner runs at most this many times its concurrency."""

_LONGEST: Final = 50
"""A batch that kept calls waiting for this many times _SLOW_BATCH no longer counts towards the concurrency."""

_UNWEIGHED: Final = 4
"""The most keys of a batch before the weight of calls is known."""


_CANCELLED: Final = "the task that sent a batch of several calls to the storage was cancelled; try again"


class Combiner(Generic[K, Q, R]):
    """Sends many small calls as few batches.

    Keys are sent in the order of their first calls, and the calls of a key stay in order, so no key is overtaken. While
    few keys are under way, a call is sent alone, in the task of its caller. A batch is sent in a task of its own; it is
    cancelled only if all its callers were cancelled. Each event loop has batches of its own.

    Args:
        send: Does the calls of a batch.
        size: The most calls in a batch.
        concurrency: How many batches run at once, unless they are slow.
        min_parallel: The fewest keys of a batch that is sent while another batch runs. Fewer keys wait, because two
            small batches cost more than one.
        alone: Whether calls of a key exclude each other: while some are under way, others of that key wait.
        weighed: Whether calls have different weights. fit() reports them.
    """

    def __init__(
        self, send: Send[K, Q, R], *, size: int, concurrency: int, min_parallel: int, alone: bool, weighed: bool = False
    ) -> None:
        self._send = send
        self._most = size
        self._concurrency = concurrency
        self._min_parallel = min(min_parallel, size)
        self._alone = alone
        self._weighed = weighed
        self._queues: PerLoop[_Queue[K, Q, R]] = PerLoop(self._queue, drop=_Queue.drop)

    def call(self, key: K, request: Q) -> Coroutine[Any, Any, R]:
        """Does one call, alone or in a batch. A call that is cancelled while it waits is not sent."""
        return self._queues.here().call(key, request)

    def fit(self, weights: Sequence[int], capacity: int) -> None:
        """Sets the size of batches so that a batch of calls as heavy as these does not exceed a capacity.

        Heavier calls shrink the batches at once. Lighter calls let them grow slowly, at most to twice the size.

        Args:
            weights: The weights of the calls of a batch; empty: nothing changes.
            capacity: The most weight of a batch.
        """
        if weights:
            self._queues.here().fit(weights, capacity)

    def release(self, key: K) -> None:
        """Lets the calls of a key be sent again, after a batch handed the key over."""
        self._queues.here().release(key)

    def _queue(self) -> _Queue[K, Q, R]:
        return _Queue(
            self._send,
            size=self._most,
            keys=min(self._most, _UNWEIGHED) if self._weighed else self._most,
            concurrency=self._concurrency,
            min_parallel=self._min_parallel,
            alone=self._alone,
        )


class _Queue(Generic[K, Q, R]):
    """The waiting calls and the batches under way of one event loop."""

    def __init__(
        self, send: Send[K, Q, R], *, size: int, keys: int, concurrency: int, min_parallel: int, alone: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._send = send
        self._most = self._size = size
        self._keys = keys
        self._weight = 1
        self._concurrency = self._free = concurrency
        self._min_parallel = min_parallel
        self._alone = alone
        self._timer: asyncio.TimerHandle | None = None
        self._departed = 0.0
        self._flying = 0
        self._gathering = False
        self._waiting: dict[K, list[Call[Q, R]]] = {}
        self._flights: dict[Flight, Collection[K]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._away: set[K] = set()

    def drop(self) -> None:
        """Forgets the tasks of an event loop that was closed."""
        for task in self._tasks:
            # Without this, asyncio logs for each task that it was destroyed while pending.
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue]

    async def call(self, key: K, request: Q) -> R:
        if not (self._waiting or self._gathering or key in self._away) and self._goes_alone():
            return await self._go(key, request)
        call: Call[Q, R] = Call(request, self._loop.create_future())
        self._waiting.setdefault(key, []).append(call)
        if self._free > 0:
            self._depart_soon()
        else:
            self._watch()
        return await call.told()

    def fit(self, weights: Sequence[int], capacity: int) -> None:
        self._weight = max(sum(weights) // len(weights), self._weight // 2, 1)
        self._size = self._keys = max(1, min(self._most, capacity // self._weight))

    def release(self, key: K) -> None:
        self._away.discard(key)
        if self._waiting:
            self._depart_soon()

    async def _go(self, key: K, request: Q) -> R:
        """Sends a lone call at once, without a future, a task or a turn of the event loop."""
        call: Call[Q, R] = Call(request)
        batch = {key: (call,)}
        flight = Flight()
        self._leave(flight, batch)
        kept: Collection[K] | None = None
        try:
            kept = await self._send(batch)
        finally:
            self._land(flight, kept)
            if self._waiting or self._flying:
                # A caller that calls again at once waits for the calls under way, so that the next calls go together.
                self._depart_soon()
        return await call.told() if kept else call.outcome()

    def _goes_alone(self) -> bool:
        return self._free > 0 and self._flying < self._min_parallel

    def _leave(self, flight: Flight, batch: Batch[K, Q, R]) -> None:
        self._flights[flight] = batch.keys()
        self._free -= 1
        self._flying += len(batch)
        if self._alone:
            self._away.update(batch)

    def _land(self, flight: Flight, kept: Collection[K] | None = None) -> None:
        keys = self._flights.pop(flight, None)
        if keys is None:
            return
        self._displace(flight, keys)
        if self._alone:
            self._away.difference_update(keys)
            if kept:
                self._away.update(kept)

    def _displace(self, flight: Flight, keys: Collection[K]) -> None:
        """Lets another batch start while this one goes on. The keys of this batch stay excluded."""
        if not flight.displaced:
            flight.displaced = True
            self._free += 1
            self._flying -= len(keys)

    def _depart_soon(self) -> None:
        # In the next turn of the event loop: callers that were just answered may call again and join the batch.
        if not self._gathering and not self._loop.is_closed():
            self._gathering = True
            self._loop.call_soon(self._depart)

    def _depart(self) -> None:
        self._gathering = False
        while ready := self._ready():
            # A small batch waits for the running one and so merges with later calls. Sent beside it, both stay small.
            if self._free <= 0 or (self._flying and len(ready) < self._min_parallel):
                self._watch()
                return
            shares = min(self._free, max(1, len(ready) // self._min_parallel))
            self._launch(ready[: -(-len(ready) // shares)])

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_SLOW_BATCH, self._hurry)

    def _hurry(self) -> None:
        """Sends the waiting calls beside batches that take too long."""
        self._timer = None
        if not (ready := self._ready()):
            return
        for flight, keys in self._flights.items():
            flight.age += 1
            if flight.age > _LONGEST:
                self._displace(flight, keys)
        if (
            self._loop.time() >= self._departed + _SLOW_BATCH
            and self._free > self._concurrency - _OVERFLOW * self._concurrency
        ):
            self._launch(ready)
        self._watch()

    def _ready(self) -> list[K]:
        """Returns the keys that wait and may be sent, in order."""
        return [key for key in self._waiting if key not in self._away]

    def _launch(self, ready: Iterable[K]) -> None:
        batch: dict[K, list[Call[Q, R]]] = {}
        room = self._size
        for key in ready:
            calls = [call for call in self._waiting.pop(key) if not call.withdrawn]
            if len(calls) > room:
                self._waiting[key] = calls[room:]  # the rest of its calls goes to the end of the queue
                del calls[room:]
            if calls:
                batch[key] = calls
                room -= len(calls)
            if not room or len(batch) >= self._keys:
                break
        if not batch:
            return
        self._departed = self._loop.time()
        calls = [call for calls in batch.values() for call in calls]
        flight = Flight(len(calls), self._abandon)
        for call in calls:
            call.flight = flight
        self._leave(flight, batch)
        try:
            task = spawn(self._loop, partial(self._fly, flight, batch, calls))
        except StorageError as error:
            self._land(flight)
            tell(calls, error)
            return
        flight.task = task
        self._tasks.add(task)
        task.add_done_callback(partial(self._flown, flight, calls))

    def _flown(self, flight: Flight, calls: Sequence[Call[Q, R]], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if flight in self._flights and not self._loop.is_closed():
            # The task was cancelled before its first step, and ran nothing of its coroutine.
            tell(calls, StorageUnavailableError(_CANCELLED))
            self._land(flight)
            self._depart_soon()

    def _abandon(self, flight: Flight) -> None:
        # Cancelled, so that the storage ends the statement and frees the connection for others.
        if flight.task is not None:
            flight.task.cancel()
        self._land(flight)
        self._depart_soon()

    async def _fly(self, flight: Flight, batch: Batch[K, Q, R], calls: Sequence[Call[Q, R]]) -> None:
        kept: Collection[K] | None = None
        try:
            kept = await self._send(batch)
        except asyncio.CancelledError:
            # The callers were not cancelled. If _abandon() cancelled the task, no caller waits.
            tell(calls, StorageUnavailableError(_CANCELLED))
            raise
        except Exception as error:  # noqa: BLE001  # any error is the answer of the callers
            tell(calls, error)
        except BaseException:
            if not self._loop.is_closed():
                for call in calls:
                    call.give_up()
            raise
        finally:
            for call in calls:
                call.flight = None
            self._land(flight, kept)
            # Also makes new calls wait, so that callers that were just answered may call again and join the batch.
            self._depart_soon()
