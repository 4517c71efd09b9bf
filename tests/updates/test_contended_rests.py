"""The pauses between two attempts of updates that wait for their rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from sessionstore import MemoryStorageProvider, SessionManager
from sessionstore.storage import Summary, Write
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS
from tests.support.documents import append, new_chat


class SlowlyHeldStorage(MemoryStorageProvider):
    """A memory storage whose rows are held for some rounds. The last of these rounds takes long.

    Args:
        rounds: For how many rounds the rows are held.
        take_long: Moves the clock on during the last round.
    """

    def __init__(self, rounds: int, take_long: Callable[[], None]) -> None:
        super().__init__()
        self._rounds = rounds
        self._take_long = take_long

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        if self._rounds == 0:
            return await super().update_many(writes)
        self._rounds -= 1
        if self._rounds == 0:
            self._take_long()
        return [None] * len(writes)


async def test_an_attempt_that_hung_delays_the_next_one_by_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    clock, hung = loop.time, [0.0]
    monkeypatch.setattr(loop, "time", lambda: clock() + sum(hung))
    storage = SlowlyHeldStorage(OPTIMISTIC_ROUNDS - 1, lambda: hung.append(20.0))
    chats = SessionManager(new_chat, storage, "chat")
    await chats.create_session("s")
    update = asyncio.ensure_future(chats.update_session("s", append("once")))
    while len(hung) == 1:  # noqa: ASYNC110  # there is no event to wait for
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert (await update).unwrap()["turns"] == ["once"]
