"""The pauses between two attempts of updates that wait for their rows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from sessionstore import MemoryStorageProvider, SessionManager, StorageError
from sessionstore.storage import Summary, Write
from sessionstore.testing.support.documents import append, new_chat
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS

from ..support.gated import Gate


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


class HangingStorage(MemoryStorageProvider):
    """A memory storage whose rows are held for two rounds each. The round of session "x" after that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds: Counter[str] = Counter()
        self.gate = Gate()

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        names = [write.read.key.session_id for write in writes]
        self.rounds.update(names)
        if any(self.rounds[name] <= 2 for name in names):
            return [None] * len(writes)
        if "x" in names:
            await self.gate.passed()
        return await super().update_many(writes)


async def test_an_attempt_that_hangs_delays_no_other_held_session() -> None:
    storage = HangingStorage()
    chats = SessionManager(new_chat, storage, "chat")
    for name in ("x", "y"):
        await chats.create_session(name)
    storage.gate.hold()
    hanging = asyncio.create_task(chats.update_session("x", append("late")))
    async with asyncio.timeout(10):
        while not storage.gate.here:  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.001)
        for turn in ("one", "two"):
            storage.rounds["y"] = 0
            assert (await chats.update_session("y", append(turn))).success
        assert not hanging.done()
        behind = asyncio.create_task(chats.update_session("x", append("later")))
        storage.gate.release()
        await asyncio.gather(hanging, behind)
    assert (await chats.get_session("x")).unwrap()["turns"] == ["late", "later"]
    assert (await chats.get_session("y")).unwrap()["turns"] == ["one", "two"]


async def test_to_cancel_the_task_of_held_updates_ends_an_attempt_that_hangs() -> None:
    storage = HangingStorage()
    chats = SessionManager(new_chat, storage, "chat")
    await chats.create_session("x")
    storage.gate.hold()
    hanging = asyncio.create_task(chats.update_session("x", append("late")))
    async with asyncio.timeout(10):
        while not storage.gate.here:  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.001)
        (poller,) = [it for it in asyncio.all_tasks() if "_poll" in getattr(it.get_coro(), "__qualname__", "")]
        poller.cancel()
        with pytest.raises(StorageError):
            await hanging
        storage.gate.release()
        assert (await chats.update_session("x", append("next"))).success
    assert (await chats.get_session("x")).unwrap()["turns"] == ["next"]
