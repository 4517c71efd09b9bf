"""Memory that holds its calls at gates and counts them, so that a test decides what goes together."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sessionstore import MemoryStorageProvider, SessionManager, StorageError
from sessionstore.batching import Batching
from sessionstore.storage import Apply, Document, Key, Summary, Write
from sessionstore.testing.support.documents import Chat, increment, new_chat

from .sender import begun, turns

_ONE_PLACE = Batching(concurrency=1)

MARK = "marked"
"""A state with this in it is refused."""


class Gate:
    """Open, or held; who comes to a held one waits."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._here = 0

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    @property
    def here(self) -> int:
        """How many wait."""
        return self._here

    async def passed(self) -> None:
        self._here += 1
        try:
            await self._open.wait()
        finally:
            self._here -= 1


class GatedStorage(MemoryStorageProvider):
    """Notes which sessions each call was about.

    Attributes:
        reads: Of get_many().
        writes: Of update_many(), as it was called; how many updates each write stood for.
        locks: Of update_locked_many().
        reading: Where get_many() is held, after it has read.
        writing: Where update_many() is held, before it writes.
        refusal: What update_many() raises, given its writes; None: nothing.
        lose: Called before each update_many(), to change sessions in front of it.
    """

    def __init__(self, *, batching: Batching | None = _ONE_PLACE) -> None:
        super().__init__()
        self.batching = batching
        self.reads: list[list[str]] = []
        self.writes: list[dict[str, int]] = []
        self.locks: list[list[str]] = []
        self.reading, self.writing = Gate(), Gate()
        self.refusal: Callable[[Sequence[Write]], Exception | None] = lambda _: None
        self.lose: Callable[[], None] = lambda: None

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        self.reads.append([key.session_id for key in keys])
        found = await super().get_many(keys, **options)
        await self.reading.passed()
        return found

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        self.writes.append({write.read.key.session_id: write.count for write in writes})
        await self.writing.passed()
        if (error := self.refusal(writes)) is not None:
            raise error
        self.lose()
        return await super().update_many(writes)

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        def checked(document: Document) -> Write | None:
            write = apply(document)
            if write is not None and (error := self.refusal([write])) is not None:
                raise error
            return write

        self.locks.append([key.session_id for key in keys])
        return await super().update_locked_many(keys, checked)

    def refuse_marked(self) -> None:
        """From now on states with the mark in them are refused, and what is written together with them."""
        self.refusal = lambda writes: StorageError("marked") if any(MARK in it.state for it in writes) else None

    def count_up(self, session_id: str) -> None:
        """Somebody else's update."""
        key = Key("chat", session_id)
        found = self._documents[key]
        self._documents[key] = found._replace(summary=found.summary._replace(version=found.summary.version + 1))

    def forget_calls(self) -> None:
        for calls in (self.reads, self.writes, self.locks):
            calls.clear()


async def desk_on(storage: GatedStorage, *session_ids: str) -> SessionManager[Chat]:
    """A manager that has created these sessions."""
    desk = SessionManager(new_chat, storage, "chat")
    for session_id in session_ids:
        assert (await desk.create_session(session_id)).created
    return desk


async def together(storage: GatedStorage, desk: SessionManager[Chat], *calls: Awaitable[Any]) -> list[Task[Any]]:
    """These calls, of which all updates go in one batch; it has come as far as the gates let it."""
    storage.reading.hold()
    lone = await begun(desk.update_session("nobody", increment))
    tasks = await begun(*calls)
    storage.forget_calls()
    storage.reading.release()
    await asyncio.gather(*lone)
    await turns()
    return tasks
