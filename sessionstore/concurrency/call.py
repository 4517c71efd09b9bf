"""A caller's request, as it is done together with those of others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Hashable, Iterable, Mapping, Sequence
from contextvars import Context
from copy import copy
from typing import Any, Generic, TypeAlias, TypeVar

from ..errors import SessionStoreError, StorageError

K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q")
R = TypeVar("R")


class Flight:
    """A batch under way.

    Attributes:
        open: How many of its calls have no answer yet and still have their callers.
        age: For how many looks of the combiner it has kept others waiting.
        displaced: Whether its place was given to others.
        task: In which task it goes; None: in that of its only caller.

    Args:
        calls: How many calls it has; 0: a lone one, in the task of its caller.
        abandon: Is called when nobody waits for any of it any more.
    """

    __slots__ = ("_abandon", "age", "displaced", "open", "task")

    def __init__(self, calls: int = 0, abandon: Callable[[Flight], None] | None = None) -> None:
        self.open = calls
        self.age = 0
        self.displaced = False
        self.task: asyncio.Task[None] | None = None
        self._abandon = abandon

    def leave(self) -> None:
        """Notes that a caller is gone."""
        self.open -= 1
        if self.open == 0 and self._abandon is not None:
            self._abandon(self)


class Call(Generic[Q, R]):
    """A caller's request, until it is answered or nobody waits for the answer any more.

    Attributes:
        request: What is asked.
        future: What the caller waits on; None: a lone caller waits for the whole batch.
        answered: Whether it has its answer.
        flight: The batch that it went in, while that is under way.
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
        """Whether the caller was cancelled: then it is not to be done, if it has not been yet."""
        return self._withdrawn or (self.future is not None and self.future.cancelled())

    def answer(self, answer: R | BaseException) -> None:
        """Tells the caller; an exception is raised where the call was made. Only the first answer counts."""
        if self.answered:
            return
        self.answered = True
        self._answer = answer
        if self.flight is not None and not self._withdrawn:
            self.flight.open -= 1
        if self.future is not None and not self.future.done():
            self.future.set_result(None)

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

    def _withdraw(self) -> None:
        self._withdrawn = True
        if self.flight is not None and not self.answered:
            self.flight.leave()


Batch: TypeAlias = Mapping[K, Sequence[Call[Q, R]]]
Send: TypeAlias = Callable[[Batch[K, Q, R]], Awaitable[Collection[K] | None]]
"""Does calls and answers each of them; what it raises is the answer of those that it left open. Returns the keys of
those that are answered later, by somebody else."""


def copy_of(error: Exception) -> SessionStoreError:
    """The same error once more: each of several callers adds a traceback of its own to what is raised.

    Of an error that is not ours only the class is told: what it holds may be another caller's.
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
    """Tells those calls that have no answer yet that it failed."""
    failed = [call for call in calls if not call.answered]
    for call in failed:
        if not call.withdrawn:
            # Those whose callers are gone count: the error may be about one of theirs.
            call.answer(error if len(failed) == 1 else copy_of(error))


def spawn(loop: asyncio.AbstractEventLoop, running: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Runs something in a task of its own, in the context of no caller: whose request it is must not depend on chance.

    Raises:
        StorageError: The task factory of the event loop does not make tasks.
    """
    try:
        # A task copies the context that it is made in. Not every task factory takes one as an argument.
        return Context().run(lambda: loop.create_task(running))
    except Exception as error:
        running.close()
        raise StorageError(
            f"the event loop's task factory raised {type(error).__name__}, so the call was not "
            "started; give loop.set_task_factory() one that returns tasks"
        ) from error
