"""Tasks that the library makes. asyncio prints nothing about them if the event loop is closed before they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

R = TypeVar("R")


def quiet(task: asyncio.Task[R]) -> asyncio.Task[R]:
    """Keeps asyncio from printing that the task was pending when it was destroyed. A user could do nothing about it."""
    # asyncio has no public name for this switch, and uses it for its own tasks.
    with suppress(AttributeError):  # tasks of a service's task factory may lack it
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue]
    return task


class Lazy(Coroutine[Any, Any, R]):
    """A coroutine that is made at its first step, because Python warns of a coroutine that was made and never began.

    Args:
        make: Makes the coroutine.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, R]]) -> None:
        self._make: Callable[[], Coroutine[Any, Any, R]] | None = make
        self._made: Coroutine[Any, Any, R] | None = None
        function = make.func if isinstance(make, partial) else make
        self.__qualname__: str = getattr(function, "__qualname__", type(self).__qualname__)  # asyncio shows this name

    def send(self, value: Any, /) -> Any:
        if self._made is None:
            assert self._make is not None
            self._made = self._make()
            # Dropped: a task keeps its coroutine after its end, and the arguments may refer to the task: a cycle.
            self._make = None
        return self._made.send(value)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None, /) -> Any:
        if self._made is None:
            raise kind if value is None else value
        return self._made.throw(kind) if value is None else self._made.throw(kind, value, traceback)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    def __await__(self) -> Generator[Any, Any, R]:
        raise NotImplementedError  # only a task runs it
