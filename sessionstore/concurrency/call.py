"""One call of a batch: the caller's request, its answer, and the batch that carries it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Hashable, Iterable, Mapping, Sequence
from contextvars import Context
from copy import copy
from typing import Any, Generic, TypeAlias, TypeVar

from ..errors import SessionStoreError, StorageError
from .tasks import Lazy, quiet

K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q")
R = TypeVar("R")


class Flight:
    """A batch that was sent and has not ended.

    Attributes:
        open: How many of its calls have no answer yet and still have a waiting caller.
        age: How many times the combiner found other calls waiting for this batch.
        displaced: Whether the batch no longer counts towards the concurrency of the combiner.
        task: The task that sends the batch; None: its only caller sends it.

    Args:
        calls: How many calls the batch has; 0: a lone call in the task of its caller.
        abandon: Is called when the last caller of the batch stopped waiting.
    """

    __slots__ = ("_abandon", "age", "displaced", "open", "task")

    def __init__(self, calls: int = 0, abandon: Callable[[Flight], None] | None = None) -> None:
        self.open = calls
        self.age = 0
        self.displaced = False
        self.task: asyncio.Task[None] | None = None
        self._abandon = abandon

    def leave(self) -> None:
        """Notes that a caller stopped waiting."""
        self.open -= 1
        if self.open == 0 and self._abandon is not None:
            self._abandon(self)


class Call(Generic[Q, R]):
    """A caller's request and its answer.

    Attributes:
        request: The request.
        future: The future that the caller awaits; None: a lone caller awaits the whole batch.
        answered: Whether the call has its answer.
        flight: The batch that carries the call; None: the call was not sent, or the batch has ended.
    """

    __slots__ = ("_answer", "_withdrawn", "answered", "flight", "future", "request")

    def __init__(self, request: Q, future: asyncio.Future[None] | None = None) -> None:
        self.request = request
        self.future = future
        self.flight: Flight | None = None
        self.answered = self._withdrawn = False
        self._answer: R | BaseException | None = None

    @property
    def withdrawn(self) -> bool:
        """Whether the caller was cancelled. A withdrawn call that was not sent yet is not sent."""
        return self._withdrawn or (self.future is not None and self.future.cancelled())

    def answer(self, answer: R | BaseException) -> None:
        """Answers the caller with a value, or with an exception to raise there. Only the first answer counts."""
        if self.answered:
            return
        self.answered = True
        self._answer = answer
        if self.flight is not None and not self._withdrawn:
            self.flight.open -= 1
        future = self.future
        if future is not None and not (future.done() or future.get_loop().is_closed()):
            future.set_result(None)

    async def told(self) -> R:
        """Waits for the answer, and returns or raises it."""
        if not self.answered:
            if self.future is None:
                self.future = asyncio.get_running_loop().create_future()
            try:
                await self.future
            except asyncio.CancelledError:
                self._withdraw()
                raise
        return self.outcome()

    def outcome(self) -> R:
        """Returns or raises the answer, once."""
        # Taken out of the call, because the frames of the exception refer to the call: a reference cycle.
        answer, self._answer = self._answer, None
        # The answer is not kept in the future, because a future does not take a StopIteration.
        if isinstance(answer, BaseException):
            try:
                raise answer
            finally:
                del answer
        return answer  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    def give_up(self) -> None:
        """Cancels the wait of a caller that cannot be answered any more."""
        if self.future is not None and not self.future.get_loop().is_closed():
            self.future.cancel()

    def _withdraw(self) -> None:
        self._withdrawn = True
        if self.flight is not None and not self.answered:
            self.flight.leave()


Batch: TypeAlias = Mapping[K, Sequence[Call[Q, R]]]
Send: TypeAlias = Callable[[Batch[K, Q, R]], Awaitable[Collection[K] | None]]
"""Does the calls of a batch and answers each one. If it raises, the error answers the calls that are still open.

Returns the keys whose calls were handed over: other code answers these later.
"""


def copy_of(error: Exception) -> SessionStoreError:
    """Returns a copy of an error for one of several callers, because each caller adds its own traceback.

    For an error from outside the library, the copy names only the class: its text may hold data of another caller.
    """
    if not isinstance(error, SessionStoreError):
        return StorageError(
            f"the storage failed with {type(error).__name__} in a batch of several calls; read the session to "
            "see whether this call was done before you repeat it"
        )
    other = copy(error)
    other.__cause__ = error.__cause__
    other.__suppress_context__ = error.__suppress_context__
    return other


def tell(calls: Iterable[Call[Any, Any]], error: Exception) -> None:
    """Answers the calls that have no answer yet with an error."""
    failed = [call for call in calls if not call.answered]
    for call in failed:
        if not call.withdrawn:
            # Withdrawn calls are counted too: the error may be about one of them and quote its data.
            call.answer(error if len(failed) == 1 else copy_of(error))


def spawn(loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    """Runs a coroutine in a new task with an empty context, because a batch has several callers.

    Raises:
        StorageError: The task factory of the event loop failed.
    """
    try:
        # A task copies the current context. The context is not passed, because not every task factory takes one.
        return quiet(Context().run(lambda: loop.create_task(Lazy(make))))
    except Exception as error:
        raise StorageError(
            f"the event loop's task factory raised {type(error).__name__}, so the call was not "
            "started; set a task factory that returns tasks with loop.set_task_factory()"
        ) from error
