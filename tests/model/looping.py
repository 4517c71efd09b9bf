"""An event loop whose time passes as soon as nobody has anything else to do, the same way each time."""

from __future__ import annotations

import asyncio
import selectors


class _Jump(selectors.SelectSelector):
    """Does not wait, but notes for how long it would have."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everybody waits, and nobody is there to be waited for")
        if not ready and timeout is not None:
            self.passed += max(0, timeout)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """Sleeping costs no time, and a program runs the same way each time."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.passed
