"""PerLoop: one object for each event loop, made at its first use and dropped after the loop is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from ..errors import ConfigurationError
from .forks import forget_in_children, keep_for_parent

S = TypeVar("S")


def running_loop() -> asyncio.AbstractEventLoop:
    """The event loop that runs in this thread and was started in this process.

    Raises:
        ConfigurationError: No such loop runs, for instance in a child that was forked inside a coroutine.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "no event loop of this process runs here; call from a coroutine that asyncio.run() runs, "
            "and in a forked process start a new loop with asyncio.run()"
        ) from None


class PerLoop(Generic[S]):
    """One object for each running event loop of this process, in any thread.

    A forked child begins without objects. It keeps a reference to the objects of its parent for ever, and never uses
    them: a destructor could close a connection that the parent still uses.

    Args:
        make: Makes the object of the running loop, at its first use.
        drop: Is called with the object of a closed loop, when another loop asks for its object. Must work without the
            closed loop, and must not wait.
        inherit: Is called in a forked child with the objects of its parent. Must not wait, and must not take a lock.
    """

    def __init__(
        self,
        make: Callable[[], S],
        *,
        drop: Callable[[S], None] | None = None,
        inherit: Callable[[Mapping[asyncio.AbstractEventLoop, S]], None] | None = None,
    ) -> None:
        self._make = make
        self._drop = drop
        self._inherit = inherit
        self._last: tuple[asyncio.AbstractEventLoop, S] | None = None
        self._objects: dict[asyncio.AbstractEventLoop, S] = {}
        forget_in_children(self)

    def here(self) -> S:
        """The object of the running loop.

        Raises:
            ConfigurationError: No loop runs.
        """
        loop = running_loop()
        last = self._last  # read once: another thread may replace it
        if last is not None and last[0] is loop:
            return last[1]
        found = self._objects.get(loop)
        if found is None:
            self.drop_closed()
            # No lock is needed: no other thread runs this loop.
            found = self._objects[loop] = self._make()
        self._last = (loop, found)
        return found

    def drop_closed(self) -> None:
        """Drops the objects of closed loops."""
        for loop in list(self._objects):
            if loop.is_closed() and (dropped := self._objects.pop(loop, None)) is not None and self._drop is not None:
                self._drop(dropped)
        last = self._last
        if last is not None and last[0].is_closed():
            self._last = None

    def end(self, ended: S) -> None:
        """Forgets an object, although its loop may go on."""
        for loop, found in list(self._objects.items()):
            if found is ended:
                self._objects.pop(loop, None)
        self._last = None

    def all(self) -> Mapping[asyncio.AbstractEventLoop, S]:
        """A copy of the objects by loop. A loop may be closed."""
        return dict(self._objects)

    def forget_parent(self) -> None:
        """See BoundToProcess."""
        inherited, self._objects, self._last = self._objects, {}, None
        if inherited:
            keep_for_parent(inherited)
            if self._inherit is not None:
                self._inherit(inherited)
