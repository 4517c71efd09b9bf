"""Update: one caller's request to change a document, and the results of applying it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, NamedTuple, TypeAlias
from weakref import ref

from ..concurrency.loops import running_loop
from ..concurrency.sent import Sent
from ..errors import SessionConflictError
from ..storage import Document, NewItem, Summary, at_version


class Made(NamedTuple):
    """The result of a function: the new text of the document, a copy of the new state, and its shape version."""

    text: str
    state: Any
    state_version: int = 1


class Updated(NamedTuple):
    """The result of an update that landed.

    Attributes:
        summary: The facts about the session after the write.
        state: The new state.
        positions: The position of each of the caller's items; None: the item was passed over. Empty: the answer was
            lost, and the journal does not tell the positions.
    """

    summary: Summary
    state: Any
    positions: Sequence[int | None] = ()


Make: TypeAlias = Callable[[Document], Made]
"""Makes the new text of a document."""


class AlreadyApplied(Exception):
    """The session has seen the idempotency key of this update.

    Attributes:
        version: The version of the session when it was read.
    """

    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = version


class Update:
    """One caller's request to change a document.

    Attributes:
        key: The digest of the idempotency key, as rows keep it; None: there is no key.
        keys: How many keys the row keeps.
        items: The items to append with the update.
        keep: How many items each log in ``items`` keeps; None: all.
        sent: Whether the write that contains the update was sent; None: no write contains it.

    Raises:
        ConfigurationError: No event loop runs.
    """

    __slots__ = ("_context", "_expected_version", "_make", "_owner_id", "_task", "items", "keep", "key", "keys", "sent")

    def __init__(
        self,
        make: Make,
        expected_version: int | None,
        key: str | None = None,
        keys: int = 0,
        owner_id: str | None = None,
        items: Sequence[NewItem] = (),
        keep: int | None = None,
    ) -> None:
        self._make = make
        self._expected_version = expected_version
        self._owner_id = owner_id
        self._context = copy_context()
        # Refers weakly to the task. A task that its own call keeps alive outlives its event loop. The garbage collector
        # may then close the coroutine of the call before that of the caller, and Python prints an error.
        task = asyncio.current_task(running_loop())
        self._task = None if task is None else ref(task)
        self.key = key
        self.keys = keys
        self.items = items
        self.keep = keep
        # Refers to no fold: the cycle would keep two states alive until the garbage collector runs.
        self.sent: Sent | None = None

    def written(self) -> bool:
        """Whether the update may have been written."""
        return self.sent is not None and self.sent.written()

    def concerns(self, document: Document) -> bool:
        """Whether the document belongs to the owner that the caller named."""
        return self._owner_id is None or self._owner_id == document.summary.owner_id

    def apply(self, document: Document) -> Made:
        """Applies the caller's function to the document, in the context and the task of the caller.

        Raises:
            SessionConflictError: The document is not at the expected version.
            Exception: What the function raises.
        """
        key, actual = document.summary.key, document.summary.version
        expected = self._expected_version
        if expected is not None and at_version(document, expected) is None:
            rewritten = actual == expected
            raise SessionConflictError(key.session_id, expected=expected, actual=actual, rewritten=rewritten)
        current = asyncio.current_task()
        task = None if self._task is None else self._task()
        if current is task:
            return self._context.run(self._make, document)
        # The function may act on the current task, say cancel it. So the caller's task must be the current one here.
        # https://docs.python.org/3/library/asyncio-extending.html#task-lifetime-support
        loop = asyncio.get_running_loop()
        _switch(loop, current, task)
        try:
            return self._context.run(self._make, document)
        finally:
            _switch(loop, task, current)


def _switch(loop: asyncio.AbstractEventLoop, left: asyncio.Task[Any] | None, entered: asyncio.Task[Any] | None) -> None:
    if left is not None:
        asyncio.tasks._leave_task(loop, left)  # noqa: SLF001
    if entered is not None:
        asyncio.tasks._enter_task(loop, entered)  # noqa: SLF001
