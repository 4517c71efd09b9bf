"""Combining: calls that arrive while others are under way wait for those, and then go together.

What databases know as group commit (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984):
the busier it is, the larger the batches, and the less each call costs. A lone call goes at once, with nothing added.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from .errors import (
    ConfigurationError,
    SessionStoreError,
    StorageError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)

K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q")
R = TypeVar("R")

_WORTHWHILE: Final = 4
"""How many keys a batch should have before what waits is split between free places."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How calls that come at once go together.

    Attributes:
        size: The most calls that go together; 1: none do.
        places: How many batches of a kind (reads, touches, updates) may be under way at once. Each takes a connection.

    Raises:
        ConfigurationError: One of them is below 1.
    """

    size: int = 128
    places: int = 2

    def __post_init__(self) -> None:
        for name, value in (("size", self.size), ("places", self.places)):
            if value < 1:
                raise ConfigurationError(f"{name} of a Batching must be at least 1, not {value}")


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
        """Returns or raises the answer."""
        answer = self._answer
        # An exception goes as a value and not into the future, which would not take a StopIteration.
        if isinstance(answer, BaseException):
            raise answer
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
    calls of one key keep their order. Where nothing is under way that has to be waited for, a call goes by itself, in
    the task of its caller; a batch goes in a task of its own, that no caller's cancellation ends.

    Args:
        send: Does the calls of a batch.
        size: The most calls in a batch.
        places: How many batches may be under way at once.
        alone: Whether the calls of a key exclude each other: while some are under way, others of that key wait.
    """

    def __init__(self, send: Send[K, Q, R], *, size: int, places: int, alone: bool) -> None:
        self._send = send
        self._most = self._size = size
        self._alone = alone
        self._places = places
        self._flights: set[asyncio.Task[None]] = set()
        self._begin(None)

    def _begin(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._era = object()
        self._loop = loop
        self._free = self._places
        self._gathering = False
        self._waiting: dict[K, list[Call[Q, R]]] = {}
        self._away: set[K] = set()

    async def call(self, key: K, request: Q) -> R:
        """Does one call, by itself or together with others. One that is cancelled while it waits is not done."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._begin(loop)  # a loop that ended under a batch has taken along everybody who waited for it
        if self._free and not self._waiting and not self._gathering and key not in self._away:
            return await self._go(key, request)
        future: asyncio.Future[None] = loop.create_future()
        call: Call[Q, R] = Call(request, future)
        self._waiting.setdefault(key, []).append(call)
        if self._free:
            self._depart_soon(loop)
        try:
            await future
        except asyncio.CancelledError:
            call.withdrawn = True
            raise
        return call.outcome()

    def fit(self, weight: int, capacity: int) -> None:
        """Makes batches so small that calls of this weight do not exceed a capacity together."""
        self._size = max(1, min(self._most, capacity // max(1, weight)))

    async def _go(self, key: K, request: Q) -> R:
        """The way of a lone call: no future, no task, no turn of the event loop."""
        call: Call[Q, R] = Call(request)
        era = self._leave((key,))
        try:
            await self._send({key: (call,)})
        finally:
            self._land((key,), era)
            if self._waiting and self._loop is not None:
                self._depart_soon(self._loop)
        return call.outcome()

    def _leave(self, keys: Iterable[K]) -> object:
        self._free -= 1
        if self._alone:
            self._away.update(keys)
        return self._era

    def _land(self, keys: Iterable[K], era: object) -> None:
        if era is self._era:
            self._free += 1
            self._away.difference_update(keys)

    def _depart_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not at once: those who were just answered are about to call again, and may come along.
        if not self._gathering and not loop.is_closed():
            self._gathering = True
            loop.call_soon(self._depart, loop)

    def _depart(self, loop: asyncio.AbstractEventLoop) -> None:
        self._gathering = False
        while self._free and (batch := self._boarding()):
            # In no caller's context: whose request this is part of must not depend on who happened to be first.
            flight = loop.create_task(self._fly(batch, self._leave(batch)), context=Context())
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)

    def _boarding(self) -> dict[K, list[Call[Q, R]]]:
        """Takes the next batch from those who wait."""
        ready = [key for key in self._waiting if key not in self._away]
        keys = max(_WORTHWHILE, -(-len(ready) // self._free))
        room = self._size
        batch: dict[K, list[Call[Q, R]]] = {}
        for key in ready:
            if not room or len(batch) == keys:
                break
            calls = [call for call in self._waiting.pop(key) if not call.withdrawn]
            if len(calls) > room:
                self._waiting[key] = calls[room:]  # behind the others now
                del calls[room:]
            if calls:
                batch[key] = calls
                room -= len(calls)
        return batch

    async def _fly(self, batch: dict[K, list[Call[Q, R]]], era: object) -> None:
        loop = asyncio.get_running_loop()
        calls = [call for calls in batch.values() for call in calls]
        try:
            await self._send(batch)
        except Exception as error:  # noqa: BLE001  # whatever it is, those who called are told
            for call in calls:
                call.answer(_twin(error))
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
    return not isinstance(error, StorageUnavailableError | UpdateOutcomeUnknownError)


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
                call.answer(_twin(answer) if isinstance(answer, StorageError) else answer)

    async def alone(key: K) -> R | StorageError:
        try:
            return (await many([key]))[0]
        except StorageError as error:
            return error

    return send


def _twin(error: Exception) -> Exception:
    """The same error once more: each caller adds a traceback of its own to what is raised."""
    if not isinstance(error, SessionStoreError):
        return error
    twin = type(error).__new__(type(error), *error.args)
    twin.__dict__.update(error.__dict__)
    twin.__cause__ = error.__cause__
    return twin
