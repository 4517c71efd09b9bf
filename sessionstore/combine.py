"""Combining: calls that arrive while others are under way wait for those, and then go together.

What databases know as group commit (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984):
the busier it is, the larger the batches, and the less each call costs. A lone call goes at once, with nothing added.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextvars import Context
from copy import copy
from typing import Final, Generic, TypeAlias, TypeVar

from .errors import SessionStoreError, StorageError

K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q")
R = TypeVar("R")

_PATIENCE: Final = 0.01
"""For how many seconds calls wait for those under way: what takes longer, say because somebody else holds a row, must
not keep up the others."""

_OVERFLOW: Final = 4
"""How many times its places a combiner takes at most where batches take so long."""


class Call(Generic[Q, R]):
    """A caller's request, until it is answered or nobody waits for the answer any more.

    Attributes:
        request: What is asked.
        future: What the caller waits on; None: a lone caller waits for the whole call.
        answered: Whether it has its answer.
        withdrawn: Whether the caller was cancelled: then it is not to be done, if it has not been yet.
    """

    __slots__ = ("_answer", "answered", "future", "request", "withdrawn")

    def __init__(self, request: Q, future: asyncio.Future[None] | None = None) -> None:
        self.request = request
        self.future = future
        self.answered = self.withdrawn = False
        self._answer: R | BaseException | None = None

    def answer(self, answer: R | BaseException) -> None:
        """Tells the caller; an exception is raised where the call was made. Only the first answer counts."""
        if self.answered:
            return
        self.answered = True
        self._answer = answer
        if self.future is not None and not self.future.done():
            self.future.set_result(None)

    def outcome(self) -> R:
        """Returns or raises the answer, once."""
        # Kept here no longer, or an exception and the frames that it comes through would keep each other.
        answer, self._answer = self._answer, None
        # An exception goes as a value and not into the future, which would not take a StopIteration.
        if isinstance(answer, BaseException):
            try:
                raise answer
            finally:
                del answer
        return answer  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    def give_up(self) -> None:
        """Lets a caller go who cannot be answered any more."""
        if self.future is not None:
            self.future.cancel()


Batch: TypeAlias = Mapping[K, Sequence[Call[Q, R]]]
Send: TypeAlias = Callable[[Batch[K, Q, R]], Awaitable[None]]
"""Does calls and answers each of them; what it raises is the answer of those that it left open."""


class Combiner(Generic[K, Q, R]):
    """Makes few large calls of many small ones.

    Calls go in the order in which their keys were first asked for, so nobody waits behind more than the batches before;
    calls of one key keep their order. Where little is under way, a call goes by itself, in the task of its caller; a
    batch goes in a task of its own, that no caller's cancellation ends.

    Args:
        send: Does the calls of a batch.
        size: The most calls in a batch.
        places: How many batches are under way at once, unless they take long.
        worthwhile: How many keys make a batch that goes beside another one. Fewer wait for that one to land, because
            two small batches cost more than one.
        alone: Whether the calls of a key exclude each other: while some are under way, others of that key wait.
    """

    def __init__(self, send: Send[K, Q, R], *, size: int, places: int, worthwhile: int, alone: bool) -> None:
        self._send = send
        self._most = self._size = size
        self._weight = 1
        self._worthwhile = min(worthwhile, size)
        self._alone = alone
        self._places = places
        self._flights: set[asyncio.Task[None]] = set()
        self._begin(None)

    def _begin(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._era = object()
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._departed = 0.0
        self._free = self._places
        self._flying = 0
        self._gathering = False
        self._waiting: dict[K, list[Call[Q, R]]] = {}
        self._away: set[K] = set()

    async def call(self, key: K, request: Q) -> R:
        """Does one call, by itself or together with others. One that is cancelled while it waits is not done."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._begin(loop)  # a loop that ended under a batch has taken along everybody who waited for it
        if not (self._waiting or self._gathering or key in self._away) and self._goes_alone():
            return await self._go(key, request)
        future: asyncio.Future[None] = loop.create_future()
        call: Call[Q, R] = Call(request, future)
        self._waiting.setdefault(key, []).append(call)
        if self._free > 0:
            self._depart_soon(loop)
        else:
            self._watch(loop)
        try:
            await future
        except asyncio.CancelledError:
            call.withdrawn = True
            raise
        return call.outcome()

    def fit(self, weights: Sequence[int], capacity: int) -> None:
        """Makes batches so small that calls as heavy as these do not exceed a capacity together. None say nothing.

        Heavy calls count at once, light ones by and by: a single light batch says little of the next.
        """
        if not weights:
            return
        self._weight = max(sum(weights) // len(weights), self._weight // 2, 1)
        self._size = max(1, min(self._most, capacity // self._weight))

    async def _go(self, key: K, request: Q) -> R:
        """The way of a lone call: no future, no task, no turn of the event loop."""
        call: Call[Q, R] = Call(request)
        batch = {key: (call,)}
        era = self._leave(batch)
        try:
            await self._send(batch)
        finally:
            self._land(batch, era)
            if self._waiting and self._loop is not None:
                self._depart_soon(self._loop)
        return call.outcome()

    def _goes_alone(self) -> bool:
        return self._free > 0 and self._flying < self._worthwhile

    def _leave(self, batch: Batch[K, Q, R]) -> object:
        self._free -= 1
        self._flying += len(batch)
        if self._alone:
            self._away.update(batch)
        return self._era

    def _land(self, batch: Batch[K, Q, R], era: object) -> None:
        if era is self._era:
            self._free += 1
            self._flying -= len(batch)
            self._away.difference_update(batch)

    def _depart_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not at once: those who were just answered are about to call again, and may come along.
        if not self._gathering and not loop.is_closed():
            self._gathering = True
            loop.call_soon(self._depart, loop)

    def _depart(self, loop: asyncio.AbstractEventLoop) -> None:
        self._gathering = False
        while ready := self._ready():
            # Small batches wait for each other, or they would stay apart for as long as their callers go on.
            if self._free <= 0 or (self._flying and len(ready) < self._worthwhile):
                self._watch(loop)
                return
            shares = min(self._free, max(1, len(ready) // self._worthwhile))
            self._launch(ready[: -(-len(ready) // shares)], loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None:
            self._timer = loop.call_later(_PATIENCE, self._hurry, loop)

    def _hurry(self, loop: asyncio.AbstractEventLoop) -> None:
        """Sends what waits beside batches that take too long."""
        self._timer = None
        if not (ready := self._ready()):
            return
        if loop.time() >= self._departed + _PATIENCE and self._free > self._places - _OVERFLOW * self._places:
            self._launch(ready, loop)
        self._watch(loop)

    def _ready(self) -> list[K]:
        """Those who wait and could go, in their order."""
        return [key for key in self._waiting if key not in self._away]

    def _launch(self, ready: Iterable[K], loop: asyncio.AbstractEventLoop) -> None:
        batch: dict[K, list[Call[Q, R]]] = {}
        room = self._size
        for key in ready:
            calls = [call for call in self._waiting.pop(key) if not call.withdrawn]
            if len(calls) > room:
                self._waiting[key] = calls[room:]  # behind the others now
                del calls[room:]
            if calls:
                batch[key] = calls
                room -= len(calls)
            if not room:
                break
        if not batch:
            return
        self._departed = loop.time()
        # In no caller's context: whose request this is part of must not depend on who happened to be first.
        flight = loop.create_task(self._fly(batch, self._leave(batch)), context=Context())
        self._flights.add(flight)
        flight.add_done_callback(self._flights.discard)

    async def _fly(self, batch: dict[K, list[Call[Q, R]]], era: object) -> None:
        loop = asyncio.get_running_loop()
        calls = [call for calls in batch.values() for call in calls]
        try:
            await self._send(batch)
        except Exception as error:  # noqa: BLE001  # whatever it is, those who called are told
            for call in calls:
                call.answer(twin(error))
        except BaseException:
            if not loop.is_closed():
                for call in calls:
                    call.give_up()
            raise
        finally:
            self._land(batch, era)
            # Until those who were just answered have had their turn, nobody goes by himself.
            self._depart_soon(loop)


def refused(error: StorageError) -> bool:
    """Whether a statement was refused for what was in it, so that nothing of it was done and a part of it may work."""
    return error.refused


def by_key(many: Callable[[Sequence[K]], Awaitable[Sequence[R]]]) -> Send[K, None, R]:
    """Answers calls of a key, which all ask the same of it, by a function of many keys."""

    async def send(batch: Batch[K, None, R]) -> None:
        keys = list(batch)
        try:
            answers: Sequence[R | StorageError] = await many(keys)
        except StorageError as error:
            if len(keys) == 1 or not refused(error):
                raise
            # One of them is to blame, and the others are not to suffer.
            answers = [await alone(key) for key in keys]
        for calls, answer in zip(batch.values(), answers, strict=True):
            for call in calls:
                call.answer(twin(answer) if isinstance(answer, StorageError) else answer)

    async def alone(key: K) -> R | StorageError:
        try:
            return (await many([key]))[0]
        except StorageError as error:
            return error

    return send


def twin(error: Exception) -> Exception:
    """The same error once more: each caller adds a traceback of its own to what is raised."""
    if not isinstance(error, SessionStoreError):
        return error
    other = copy(error)
    other.__cause__ = error.__cause__
    other.__suppress_context__ = error.__suppress_context__
    return other
