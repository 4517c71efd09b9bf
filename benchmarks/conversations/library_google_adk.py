"""This library behind Google ADK's session protocol, in place of ADK's own store: messages are events."""

from __future__ import annotations

import asyncio

from sessionstore import open_storage
from sessionstore.integrations.google_adk import StoredSessionService
from sessionstore.integrations.keys import joined
from sessionstore.storage import Key

from ..contestant import NAMESPACE, TTL
from .google_adk import _USER, GoogleAdkConversations


class LibraryGoogleAdkConversations(GoogleAdkConversations):
    """The calls of `google-adk`, on `StoredSessionService`."""

    driver = "psycopg"
    job = "two writes a turn"
    note = "`StoredSessionService` of this library: the same calls as `google-adk`, also after a stale session."

    async def setup(self) -> None:
        await asyncio.to_thread(self.database.migrate)

    async def open(self) -> None:
        self._storage = await self.stack.enter_async_context(open_storage(self.database.url))
        self._service = StoredSessionService(self._storage, ttl=TTL)

    async def length(self, session: str) -> int:
        found = await self._storage.get(Key("google-adk", joined(NAMESPACE, _USER, session)), touch=False)
        return 0 if found is None else found.summary.last_position
