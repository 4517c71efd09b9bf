"""This library: messages are items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sessionstore import SessionManager

from ..contestant import NAMESPACE, TTL
from ..contestants.library import Library
from ..states import State, change
from .conversations import WINDOW, Conversations, message, small_state

_AT_ONCE: Final = 500


class LibraryConversations(Library, Conversations):
    """`append_items()`, `get_session(last_items=50)` and `update_session(append=)`."""

    job = ""
    note = "Messages are items: `append_items()`; a turn is `get_session(last_items=50)` and `update_session(append=)`."

    async def open(self) -> None:
        await super().open()
        self.chats: SessionManager[State] = SessionManager(small_state, self.storage, NAMESPACE, ttl=TTL)

    async def begin(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            (await self.chats.create_session(session)).unwrap()

    async def grow(self, session: str, count: int) -> None:
        for at in range(0, count, _AT_ONCE):
            added = await self.chats.append_items(session, [message() for _ in range(min(_AT_ONCE, count - at))])
            added.unwrap()

    async def append(self, session: str) -> None:
        (await self.chats.append_items(session, [message()])).unwrap()

    async def converse(self, session: str) -> None:
        (await self.chats.get_session(session, last_items=WINDOW)).unwrap()
        (await self.chats.update_session(session, _changed, append=[message(), message()])).unwrap()

    async def length(self, session: str) -> int:
        read = await self.chats.get_items(session, last=1, touch=False)
        return read.last_position or 0

    async def positions(self, session: str) -> Sequence[int]:
        """The positions of all items of a session."""
        return [item.position for item in (await self.chats.get_items(session, last=10_000_000)).items]


def _changed(state: State) -> None:
    change(state)
