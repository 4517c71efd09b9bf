"""This library behind the OpenAI Agents SDK's session protocol, in place of the SDK's own store."""

from __future__ import annotations

import asyncio
from typing import Any

from sessionstore import open_storage
from sessionstore.integrations.keys import joined
from sessionstore.integrations.openai_agents import StoredSession
from sessionstore.storage import Key

from ..contestant import TTL
from .openai_agents import OpenAIAgentsConversations


class LibraryOpenAIAgentsConversations(OpenAIAgentsConversations):
    """The calls of `openai-agents`, on `StoredSession`."""

    driver = "psycopg"
    job = "messages only, no state"
    note = "`StoredSession` of this library, an object for each session: the same calls as `openai-agents`."

    async def setup(self) -> None:
        await asyncio.to_thread(self.database.migrate)

    async def open(self) -> None:
        self._storage = await self.stack.enter_async_context(open_storage(self.database.url))
        self._sessions = {}

    async def length(self, session: str) -> int:
        found = await self._storage.get(Key("openai-agents", joined(session)), touch=False)
        return 0 if found is None else found.summary.last_position

    def _session(self, session: str) -> Any:
        if session not in self._sessions:
            self._sessions[session] = StoredSession(session, self._storage, ttl=TTL)
        return self._sessions[session]
