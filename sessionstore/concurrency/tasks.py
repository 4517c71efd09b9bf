"""Tasks that the library makes. asyncio prints nothing about them if the event loop is closed before they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from .forks import born, forget_in_children

R = TypeVar("R")


def quiet(task: asyncio.Task[R]) -> asyncio.Task[R]:
    """Keeps asyncio from printing that the task was pending when it was destroyed. A user could do nothing about it."""
    # asyncio has no public name for this switch, and uses it for its own tasks.
    with suppress(AttributeError):  # tasks of a service's task factory may lack it
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue]
    return task


class Held(Coroutine[Any, Any, R]):
    """A coroutine that prints nothing if its event loop is closed before it begins, and never begins in a forked child.

    Python warns where such a coroutine is freed. So it is kept from the garbage collector, and closed.

    Args:
        running: The coroutine.
        inside: Coroutines that begin inside of it.
    """

    def __init__(self, running: Coroutine[Any, Any, R], *inside: Coroutine[Any, Any, Any]) -> None:
        self._running = running
        self._begun = False
        self._process = born()
        self.__qualname__: str = getattr(running, "__qualname__", type(self).__qualname__)  # asyncio shows it
        _UNBEGUN.running[id(running)] = (running, *inside)

    def send(self, value: Any, /) -> Any:
        self._begin()
        return self._running.send(value)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None, /) -> Any:
        if not self._begun:  # its task was cancelled before
            self.close()
            raise kind if value is None else value
        return self._running.throw(kind) if value is None else self._running.throw(kind, value, traceback)

    def close(self) -> None:
        if not self._begun:
            self._begun = True
            _close(_UNBEGUN.running.pop(id(self._running), ()))

    def _begin(self) -> None:
        if self._begun:
            return
        if born() != self._process:
            self.close()
            raise asyncio.CancelledError
        self._begun = True
        del _UNBEGUN.running[id(self._running)]

    def __await__(self) -> Generator[Any, Any, R]:
        raise NotImplementedError  # only a task runs it

    def __del__(self) -> None:
        self.close()


class _Unbegun:
    """The coroutines that have not begun, by their id."""

    def __init__(self) -> None:
        self.running: dict[int, tuple[Coroutine[Any, Any, Any], ...]] = {}
        forget_in_children(self)

    def forget_parent(self) -> None:
        """See BoundToProcess."""
        inherited, self.running = self.running, {}
        for running in inherited.values():
            _close(running)


def _close(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> None:
    for coroutine in coroutines:
        coroutine.close()


_UNBEGUN: Final = _Unbegun()


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
