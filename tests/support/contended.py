"""Memory whose optimistic writes lose on purpose, as they do among many processes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sessionstore import MemoryStorageProvider
from sessionstore.storage import Apply, Key, Summary, Write


class ContendedStorage(MemoryStorageProvider):
    """Loses the first rounds of a session's update; counts the rounds, and who took the lock.

    Args:
        losses: How many rounds are lost.
        held: Whether they are lost because somebody holds the row, and not because somebody else counts up first.
    """

    def __init__(self, losses: int, *, held: bool = False) -> None:
        super().__init__()
        self.rounds = 0
        self.locks = 0
        self._losses = losses
        self._held = held

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        self.rounds += 1
        if self.rounds > self._losses:
            return await super().update_many(writes)
        if self._held:
            return [None] * len(writes)
        for write in writes:
            await self.count_up(write.read.key)
        return await super().update_many(writes)

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        self.locks += 1
        for key in keys:
            await self.before_lock(key)
        return await super().update_locked_many(keys, apply)

    async def before_lock(self, key: Key) -> None:
        """What somebody else does while we wait for the lock."""

    async def count_up(self, key: Key) -> None:
        """Somebody else's update."""
        found = await self.get(key, touch=False)
        assert found is not None
        state = json.loads(found.state)
        write = Write(found.summary, json.dumps(state | {"n": state["n"] + 1}))
        assert await super().update_many([write]) != [None]
