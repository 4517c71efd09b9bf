"""This library without items: all messages in the state, which is written anew by each turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sessionstore import SessionManager

from ..contestant import NAMESPACE, TTL
from ..contestants.library import Library
from ..states import State, change
from .conversations import Conversations, message, newest, small_state

_LONGEST: Final = 1 << 27


class DocumentConversations(Library, Conversations):
    """`get_session()` and `update_session()` with a function that appends to a list in the state."""

    job = "one document, rewritten by each turn"
    note = "Messages are a list in the state: `get_session()`, and an `update_session()` that appends to the list."

    async def open(self) -> None:
        await super().open()
        self.chats: SessionManager[State] = SessionManager(
            lambda session: small_state(session) | {"messages": []},
            self.storage,
            NAMESPACE,
            ttl=TTL,
            max_state_bytes=_LONGEST,
        )

    async def begin(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            (await self.chats.create_session(session)).unwrap()

    async def grow(self, session: str, count: int) -> None:
        await self._add(session, count)

    async def append(self, session: str) -> None:
        await self._add(session, 1)

    async def converse(self, session: str) -> None:
        newest((await self.chats.get_session(session)).unwrap()["messages"])
        await self._add(session, 2)

    async def length(self, session: str) -> int:
        return len((await self.chats.get_session(session, touch=False)).unwrap()["messages"])

    async def _add(self, session: str, count: int) -> None:
        added = [message() for _ in range(count)]

        def add(state: State) -> None:
            change(state)
            state["messages"] += added

        (await self.chats.update_session(session, add)).unwrap()
