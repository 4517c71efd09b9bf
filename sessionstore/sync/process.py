"""The bridge of this process: started by the first call of a storage, ended when the last storage is closed."""

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
    """Has one bridge for all open storages of a process, so that the calls of all threads go together."""

    def __init__(self) -> None:
        self.bridge: Bridge | None = None
        self._users: WeakSet[object] = WeakSet()
        # Taken again by a signal handler that calls in the middle of another call of its thread.
        self._lock = RLock()
        self._ended = False
        forget_in_children(self)

    def enter(self, user: object) -> Bridge:
        """Returns the bridge for a user, who has to leave it; starts the bridge if there is none.

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
                    raise ConfigurationError(f"sessionstore.sync needs a thread, and Python says: {error}") from error
                self.bridge = bridge
            self._users.add(user)
            return bridge

    def leave(self, user: object) -> None:
        """Ends the bridge after its last user."""
        with self._lock:
            self._users.discard(user)
            if self._users:
                return
            bridge, self.bridge = self.bridge, None
        if bridge is not None:
            bridge.stop()

    def end(self) -> None:
        """Ends the bridge although it has users: the interpreter exits."""
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

# Registered when the module is imported, so that the atexit handlers of a service, which come later, run before.
atexit.register(PROCESS.end)
