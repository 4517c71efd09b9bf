"""Timeouts and cancellation of callers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import Any

import anyio
import pytest

from sessionstore import MemoryStorageProvider, SessionManager, StorageUnavailableError, UpdateOutcomeUnknownError
from sessionstore.concurrency.deadline import ended, within
from sessionstore.concurrency.sent import Outdated, Sent, SentTogether, noted, noting
from sessionstore.storage import Creation, Document, Draft, Key
from sessionstore.testing.support.documents import Chat, increment, new_chat

MOMENT = timedelta(milliseconds=20)


@pytest.mark.parametrize("scoped", [False, True], ids=["cancelled again and again", "anyio"])
async def test_a_task_that_waits_for_another_to_end_wakes_once_for_each_cancellation(
    monkeypatch: pytest.MonkeyPatch, *, scoped: bool
) -> None:
    waits: list[object] = []
    wait = asyncio.wait

    async def counted(tasks: Sequence[asyncio.Future[Any]], **options: Any) -> object:
        waits.append(tasks)
        return await wait(tasks, **options)

    monkeypatch.setattr("sessionstore.concurrency.deadline.asyncio.wait", counted)
    over = asyncio.Event()

    async def stuck() -> None:
        await over.wait()

    async def leave() -> None:
        task = asyncio.ensure_future(stuck())
        try:
            await asyncio.shield(task)
        finally:
            await ended(task)

    async def scope() -> None:
        with anyio.move_on_after(0.001) as moved_on:
            await leave()
        assert moved_on.cancelled_caught

    leaving = asyncio.ensure_future(scope() if scoped else leave())
    await asyncio.sleep(0.01)
    for turn in range(100):
        await asyncio.sleep(0)
        if not scoped and turn < 2:
            leaving.cancel()
    assert not leaving.done()
    over.set()
    await asyncio.wait([leaving])
    assert len(waits) <= 3


class Slow(MemoryStorageProvider):
    """Waits for ever in a creation or a deletion. Reports that it sent the write, or that it did not, or nothing."""

    def __init__(self, says: bool | None) -> None:
        super().__init__()
        self._says = says

    async def _wait(self) -> None:
        sent = noted()
        assert sent is not None
        if self._says is not None:
            sent.begin()
        if self._says:
            sent.send()
        await asyncio.Event().wait()

    async def create_many(self, drafts: Sequence[Draft], **_: Any) -> Sequence[Creation]:
        await self._wait()
        return ()

    async def delete_many(self, keys: Sequence[Key], **_: Any) -> Sequence[bool]:
        await self._wait()
        return ()


@pytest.mark.parametrize(
    ("says", "error"),
    [(True, UpdateOutcomeUnknownError), (None, UpdateOutcomeUnknownError), (False, StorageUnavailableError)],
    ids=["sent", "unknown", "not sent"],
)
async def test_the_error_of_a_timeout_says_whether_a_write_was_sent(says: bool | None, error: type[Exception]) -> None:
    desk = SessionManager(new_chat, Slow(says), "chat")
    with pytest.raises(error):
        await desk.create_session("s", timeout=MOMENT)
    with pytest.raises(error):
        await desk.delete_session("s", timeout=MOMENT)
    assert noted() is None


async def test_a_sent_write_counts_as_sent_until_it_is_refused() -> None:
    with noting(sent := Sent()):
        assert sent.written()
        sent.begin()
        sent.send()
        sent.begin()
        assert sent.written()
        sent.refuse()
        assert not sent.written()


async def test_nothing_is_sent_for_a_caller_that_was_told_that_nothing_is_written() -> None:
    told, other = Sent(), Sent()
    together = SentTogether([other, told])
    together.begin()
    assert not told.written()
    for sent in (told, together):
        with pytest.raises(Outdated):
            sent.send()
    assert not other.written()


async def test_an_update_that_the_session_has_seen_uses_its_timeout_once() -> None:
    class Stuck(MemoryStorageProvider):
        stuck = False

        async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
            if self.stuck and options.get("touch", True):
                await asyncio.Event().wait()
            elif self.stuck:
                await asyncio.sleep(0.2)
            return await super().get_many(keys, **options)

    storage = Stuck()
    desk: SessionManager[Chat] = SessionManager(new_chat, storage, "chat")
    await desk.create_session("s")
    await desk.update_session("s", increment, idempotency_key="k")
    await desk.update_session("s", increment)
    storage.stuck = True
    storage.batching = None
    started = monotonic()
    with pytest.raises(StorageUnavailableError, match="nothing was written"):
        await desk.update_session("s", increment, idempotency_key="k", timeout=timedelta(seconds=0.4))
    assert monotonic() - started < 0.58


async def test_a_timeout_does_not_wait_for_the_end_of_the_call() -> None:
    with pytest.raises(StorageUnavailableError):
        await within(MOMENT, asyncio.sleep(100), lambda: False)
