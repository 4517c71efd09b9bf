"""The bridge of this process. The first call of a storage starts it, and the close() of the last storage ends it."""

from __future__ import annotations

import atexit
from threading import RLock
from typing import Final
from weakref import WeakSet

from ..concurrency.forks import forget_in_children, keep_for_parent, notice_fork
from ..errors import ConfigurationError
from .bridge import Bridge
from .refusals import check_process


class Process:
    """Keeps one bridge for all open storages of a process, so that the calls of all threads go together."""

    def __init__(self) -> None:
        self.bridge: Bridge | None = None
        self._users: WeakSet[object] = WeakSet()
        # Reentrant, because a signal handler may make a call in the middle of another call of its thread.
        self._lock = RLock()
        self._ended = False
        forget_in_children(self)

    def enter(self, user: object) -> Bridge:
        """Registers a user and returns the bridge. Starts the bridge if there is none. The user has to call leave().

        Raises:
            ConfigurationError: No event loop can run in a thread here.
        """
        notice_fork()
        check_process(ended=self._ended)
        with self._lock:
            bridge = self.bridge
            if bridge is None:
                try:
                    bridge = Bridge()
                except RuntimeError as error:
                    raise ConfigurationError(
                        f"sessionstore.sync cannot start its thread ({error}); raise the limits of this process"
                    ) from error
                self.bridge = bridge
            self._users.add(user)
            return bridge

    def leave(self, user: object) -> None:
        """Removes a user, and ends the bridge after the last one."""
        with self._lock:
            self._users.discard(user)
            if self._users:
                return
            bridge, self.bridge = self.bridge, None
        if bridge is not None:
            bridge.stop()

    def end(self) -> None:
        """Ends the bridge although it has users, because the interpreter exits."""
        self._ended = True
        bridge, self.bridge = self.bridge, None
        if bridge is not None:
            bridge.stop()

    @property
    def ended(self) -> bool:
        """Whether the interpreter exits, and no call is possible any more."""
        return self._ended

    def forget_parent(self) -> None:
        """See BoundToProcess."""
        bridge, self.bridge = self.bridge, None
        self._users = WeakSet()
        self._lock = RLock()
        self._ended = False
        if bridge is not None:
            keep_for_parent(bridge)
            bridge.abandon()


PROCESS: Final = Process()

# Registered at import, because the last atexit handler runs first: handlers of a service can still make calls.
atexit.register(PROCESS.end)
