"""Link: gives the calls of one storage to the event loop of the process."""

from __future__ import annotations

import os
from asyncio import Runner, new_event_loop
from asyncio.events import _get_running_loop
from collections.abc import Coroutine
from typing import Any, SupportsIndex, TypeVar

from ..errors import ConfigurationError
from . import refusals
from .bridge import Bridge, Ended
from .process import PROCESS

R = TypeVar("R")


class Link:
    """Runs the calls of one storage. Connects to the bridge of the process at the first call in each process."""

    __slots__ = ("__weakref__", "_bridge", "_closed")

    def __init__(self) -> None:
        self._bridge: Bridge | None = None
        self._closed = False

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        raise TypeError(
            "objects of sessionstore.sync cannot be copied or pickled, because the connections belong to this process; "
            "in the other process, call open_storage() with the same URL, and make a new manager"
        )

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Runs a coroutine, and waits for its result.

        Raises:
            ConfigurationError: An event loop runs in this thread, or no event loop can run in another thread.
        """
        try:
            if _get_running_loop() is not None:
                raise refusals.running_loop(PROCESS.bridge)
            bridge = self._bridge
            if bridge is None or bridge.process != os.getpid():
                bridge = self._connected()
            if bridge is not None:
                return bridge.run(coroutine)
        except Ended:
            if PROCESS.ended:
                coroutine.close()
                raise refusals.shut_down() from None
        except ConfigurationError:
            coroutine.close()
            raise
        # The storage is closed. The coroutine raises the error that says so.
        return _run_alone(coroutine)

    def close(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs the coroutine that closes the storage, and leaves the bridge.

        Raises:
            ConfigurationError: An event loop runs in this thread.
        """
        bridge = self._bridge
        if _get_running_loop() is not None:
            coroutine.close()
            raise refusals.running_loop(PROCESS.bridge)
        try:
            if bridge is None or bridge.process != os.getpid():
                self._closed = True
                _run_alone(coroutine)
            else:
                bridge.run(coroutine)
        except Ended:
            _run_alone(coroutine)
        finally:
            self._closed, self._bridge = True, None
            PROCESS.leave(self)

    def _connected(self) -> Bridge | None:
        if self._closed:
            return None
        self._bridge = PROCESS.enter(self)
        if self._closed:  # another thread closed the storage meanwhile
            PROCESS.leave(self)
            self._bridge = None
        return self._bridge


def _run_alone(coroutine: Coroutine[Any, Any, R]) -> R:
    """Runs a coroutine in this thread without a bridge, for a storage that is closed or was never used."""
    with Runner(loop_factory=new_event_loop) as runner:
        return runner.run(coroutine)


class Linked:
    """The base of the synchronous classes, whose objects pass each call to an asynchronous object."""

    _link: Link

    def _run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        return self._link.run(coroutine)
