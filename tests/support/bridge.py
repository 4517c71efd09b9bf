"""The event loop thread of `sessionstore.sync`, in programs that close nothing."""

from __future__ import annotations

from sessionstore.sync.process import PROCESS


def end_bridge() -> None:
    """Ends the thread as the end of the process would. The next call begins another one."""
    PROCESS._users.clear()
    bridge, PROCESS.bridge = PROCESS.bridge, None
    if bridge is not None:
        bridge.stop()
