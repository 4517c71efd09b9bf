"""The OpenAI Agents SDK's SQLAlchemySession, as its runner uses it in a turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text

from ..contestants.openai_agents import OpenAIAgents
from .conversations import WINDOW, Conversations, message

_AT_ONCE: Final = 500


class OpenAIAgentsConversations(OpenAIAgents, Conversations):
    """`get_items(limit=50)`, then `add_items()` with two messages."""

    job = "messages only, no state; no TTL"
    note = "`SQLAlchemySession`: `add_items()`; a turn is `get_items(limit=50)` and `add_items()` with two messages."

    async def begin(self, sessions: Sequence[str]) -> None:
        """Sessions are made by the first message."""

    async def grow(self, session: str, count: int) -> None:
        for at in range(0, count, _AT_ONCE):
            await self._session(session).add_items([message() for _ in range(min(_AT_ONCE, count - at))])

    async def append(self, session: str) -> None:
        await self._session(session).add_items([message()])

    async def converse(self, session: str) -> None:
        await self._session(session).get_items(limit=WINDOW)
        await self._session(session).add_items([message(), message()])

    async def length(self, session: str) -> int:
        async with self._engine.connect() as connection:
            counted = text("SELECT count(*) FROM agent_messages WHERE session_id = :session")
            return int((await connection.execute(counted, {"session": session})).scalar_one())
