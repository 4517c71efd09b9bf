"""Memory that holds its reads and writes, so that a test decides what is under way while something happens."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from sessionstore import Batching, MemoryStorageProvider
from sessionstore.storage import Document, Key, Summary, Write
from sessionstore.sync.process import PROCESS

_SECONDS: Final = 30.0


class HeldStorage(MemoryStorageProvider):
    """Calls wait while it is held, until it is released or they are cancelled.

    Attributes:
        batches: How many sessions each call of update_many() wrote.
        entered: Set when a call waits.
        cancelled: Set when a call was cancelled while it waited.
        stubborn: Whether a cancelled call goes on waiting.
    """

    def __init__(self) -> None:
        super().__init__(batching=Batching(concurrency=1, remember=0))
        self.batches: list[int] = []
        self.entered, self.cancelled = threading.Event(), threading.Event()
        self.stubborn = False
        self._held: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._holds = False

    def hold(self) -> None:
        """From now on calls wait."""
        self.entered.clear()
        self._holds = True

    def release(self) -> None:
        """Lets all calls go on."""
        self._holds = False
        held, self._held = self._held, []
        for loop, event in held:
            loop.call_soon_threadsafe(event.set)

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        await self._passed()
        return await super().get_many(keys, **options)

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        self.batches.append(len(writes))
        return await super().update_many(writes)

    async def _passed(self) -> None:
        if not self._holds:
            return
        event = asyncio.Event()
        self._held.append((asyncio.get_running_loop(), event))
        self.entered.set()
        while not event.is_set():
            try:
                await event.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                if not self.stubborn:
                    raise


def under_way(count: int) -> None:
    """Waits until so many calls have begun in the event loop."""
    end = time.monotonic() + _SECONDS
    while PROCESS.bridge is None or sum(call.begun for call in list(PROCESS.bridge._calls)) < count:
        assert time.monotonic() < end
        time.sleep(0.005)
