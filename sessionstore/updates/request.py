"""What one caller wants to become of a document."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, NamedTuple, TypeAlias

from ..concurrency.sent import Sent
from ..errors import SessionConflictError
from ..ids import Version
from ..storage import Document, Summary


class Made(NamedTuple):
    """What a function made of a document: the new text, and the caller's own copy of the state in it."""

    text: str
    state: Any


class Updated(NamedTuple):
    """An update that landed: what the write left, and the state that it wrote."""

    summary: Summary
    state: Any


Make: TypeAlias = Callable[[Document], Made]
"""Makes the new text of a document."""


class AlreadyApplied(Exception):
    """The session has seen the idempotency key of this update."""


class Update:
    """What a caller wants to become of a document.

    Attributes:
        key: The idempotency key, as rows remember it; None: none.
        keys: How many keys the row is to remember.
        sent: What is known of the write that it is in; None: it is in none.
    """

    __slots__ = ("_context", "_expected_version", "_make", "_owner_id", "_task", "key", "keys", "sent")

    def __init__(
        self,
        make: Make,
        expected_version: int | None,
        key: str | None = None,
        keys: int = 0,
        owner_id: str | None = None,
    ) -> None:
        self._make = make
        self._expected_version = expected_version
        self._owner_id = owner_id
        self._context = copy_context()
        self._task = asyncio.current_task()
        self.key = key
        self.keys = keys
        # Not the fold that would know: the two would keep each other, and two states, until garbage is collected.
        self.sent: Sent | None = None

    def written(self) -> bool:
        """Whether it may have been written, for all that is known."""
        return self.sent is not None and self.sent.written()

    def concerns(self, document: Document) -> bool:
        """Whether the document is one that the caller may know of."""
        return self._owner_id is None or self._owner_id == document.summary.owner_id

    def apply(self, document: Document) -> Made:
        """What the caller's function makes of the document, in the context and the task of the caller."""
        key, actual = document.summary.key, document.summary.version
        expected = self._expected_version
        if expected is not None:
            if actual != expected:
                raise SessionConflictError(key.session_id, expected=expected, actual=actual)
            if isinstance(expected, Version) and expected.write != document.summary.last_write:
                raise SessionConflictError(key.session_id, expected=expected, actual=actual, rewritten=True)
        current = asyncio.current_task()
        if current is self._task:
            return self._context.run(self._make, document)
        # Whatever the function does with the current task, say cancel it, concerns the caller and not the batch.
        # https://docs.python.org/3/library/asyncio-extending.html#task-lifetime-support
        loop = asyncio.get_running_loop()
        _switch(loop, current, self._task)
        try:
            return self._context.run(self._make, document)
        finally:
            _switch(loop, self._task, current)


def _switch(loop: asyncio.AbstractEventLoop, left: asyncio.Task[Any] | None, entered: asyncio.Task[Any] | None) -> None:
    if left is not None:
        asyncio.tasks._leave_task(loop, left)  # noqa: SLF001
    if entered is not None:
        asyncio.tasks._enter_task(loop, entered)  # noqa: SLF001
