"""Updates that wait for their rows, when the task that tries them ends early or cannot start."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Sequence
from typing import Any

import pytest

from sessionstore import (
    MemoryStorageProvider,
    SessionManager,
    StorageError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)
from sessionstore.storage import Apply, Key, Summary, Write
from sessionstore.testing.support.documents import Chat, append, new_chat
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS

from ..support.gated import Gate


class HeldStorage(MemoryStorageProvider):
    """A memory storage whose rows are held for some rounds.

    Attributes:
        rounds: For how many more rounds the rows are held.
        before: Where the first write after that waits before it is done.
        after: Where this write waits after it is done.
    """

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds
        self.before, self.after = Gate(), Gate()

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        if self.rounds > 0:
            self.rounds -= 1
            return [None] * len(writes)
        await self.before.passed()
        written = await super().update_many(writes)
        await self.after.passed()
        return written

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        self.rounds = 0
        await self.before.passed()
        written = await super().update_locked_many(keys, apply)
        await self.after.passed()
        return written


async def desk_on(storage: HeldStorage) -> SessionManager[Chat]:
    desk = SessionManager(new_chat, storage, "chat")
    await desk.create_session("s")
    return desk


def tasks_of(name: str) -> list[Task[Any]]:
    """The tasks that run this coroutine function."""
    return [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") == name]


def task_of(name: str) -> Task[Any]:
    (task,) = tasks_of(name)
    return task


async def until_at(gate: Gate) -> None:
    async with asyncio.timeout(10):
        while not gate.here:  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.001)


async def turns_after(desk: SessionManager[Chat], storage: HeldStorage) -> list[object]:
    """The turns of the session after one more update, for which the rows are free."""
    storage.before.release()
    storage.after.release()
    async with asyncio.timeout(10):
        return list((await desk.update_session("s", append("next"))).unwrap()["turns"])


@pytest.mark.parametrize(
    ("rounds", "name"), [(OPTIMISTIC_ROUNDS + 1, "Contended._lock"), (OPTIMISTIC_ROUNDS - 2, "Contended._poll")]
)
async def test_an_update_whose_task_is_cancelled_during_the_write_is_not_applied_again(rounds: int, name: str) -> None:
    storage = HeldStorage(rounds)
    desk = await desk_on(storage)
    storage.after.hold()
    update = asyncio.ensure_future(desk.update_session("s", append("once")))
    await until_at(storage.after)
    task_of(name).cancel()
    with pytest.raises(UpdateOutcomeUnknownError):
        async with asyncio.timeout(10):
            await update
    assert await turns_after(desk, storage) == ["once", "next"]


async def test_an_update_under_the_row_lock_lands_although_the_polling_task_is_cancelled() -> None:
    storage = HeldStorage(OPTIMISTIC_ROUNDS + 1)
    desk = await desk_on(storage)
    storage.before.hold()
    update = asyncio.ensure_future(desk.update_session("s", append("once")))
    await until_at(storage.before)
    later = asyncio.ensure_future(desk.update_session("s", append("later")))
    await asyncio.sleep(0)
    task_of("Contended._poll").cancel()
    await asyncio.sleep(0)
    storage.before.release()
    async with asyncio.timeout(10):
        assert (await update).unwrap()["turns"] == ["once"]
        assert (await later).unwrap()["turns"] == ["once", "later"]
    assert await turns_after(desk, storage) == ["once", "later", "next"]


async def test_a_waiting_update_gets_an_error_when_the_polling_task_is_cancelled() -> None:
    storage = HeldStorage(OPTIMISTIC_ROUNDS - 2)
    desk = await desk_on(storage)
    storage.rounds = 1_000_000
    update = asyncio.ensure_future(desk.update_session("s", append("never")))
    async with asyncio.timeout(10):
        while not tasks_of("Contended._poll"):  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0)
        task_of("Contended._poll").cancel()
        with pytest.raises(StorageUnavailableError, match="cancelled"):
            await update
    storage.rounds = 0
    assert await turns_after(desk, storage) == ["next"]


async def test_an_attempt_that_hangs_is_cancelled_when_no_caller_waits_for_it() -> None:
    storage = HeldStorage(OPTIMISTIC_ROUNDS - 2)
    desk = await desk_on(storage)
    storage.before.hold()
    hanging = asyncio.ensure_future(desk.update_session("s", append("never")))
    await until_at(storage.before)
    assert tasks_of("Contended._poll")
    hanging.cancel()
    async with asyncio.timeout(10):
        while storage.before.here:  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.001)
    assert await turns_after(desk, storage) == ["next"]


async def test_an_update_whose_locking_task_cannot_start_gets_an_error_and_later_updates_work() -> None:
    storage = HeldStorage(1_000_000)
    desk = await desk_on(storage)
    loop = asyncio.get_running_loop()

    def factory(_: asyncio.AbstractEventLoop, running: Any, **options: Any) -> Any:
        if running.__qualname__ == "Contended._lock":
            raise LookupError("no tasks today")
        return Task(running, loop=loop, **options)

    loop.set_task_factory(factory)
    try:
        async with asyncio.timeout(10):
            with pytest.raises(StorageError, match="task factory"):
                await desk.update_session("s", append("never"))
            storage.rounds = 0
            assert await turns_after(desk, storage) == ["next"]
    finally:
        loop.set_task_factory(None)
