"""Google ADK's DatabaseSessionService: messages are events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from google.adk.errors._stale_session_error import StaleSessionError
from google.adk.events import Event, EventActions
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from ..contestant import NAMESPACE
from ..contestants.google_adk import GoogleAdk
from ..server import libpq_url
from ..states import change
from .conversations import WINDOW, Conversations, message, small_state

_USER: Final = "user"
_COUNT: Final = "SELECT count(*) FROM events WHERE session_id = %s"


class GoogleAdkConversations(GoogleAdk, Conversations):
    """`get_session(num_recent_events=50)`, then two `append_event()`, one with a `state_delta`."""

    job = "two writes a turn; no TTL"
    note = (
        "`DatabaseSessionService`: a turn is `get_session()` with 50 events and two `append_event()`, the second one "
        "with a `state_delta`. A stale session is loaded again."
    )

    async def begin(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            await self._service.create_session(
                app_name=NAMESPACE, user_id=_USER, session_id=session, state=small_state(session)
            )

    async def grow(self, session: str, count: int) -> None:
        loaded = await self._recent(session, 0)
        for _ in range(count):
            await self._service.append_event(loaded, _event())

    async def append(self, session: str) -> None:
        while True:
            try:
                await self._service.append_event(await self._recent(session, 0), _event())
            except StaleSessionError:
                continue
            return

    async def converse(self, session: str) -> None:
        answered = False
        while True:
            loaded = await self._recent(session, WINDOW)
            delta = change({name: loaded.state[name] for name in ("n", "step")})
            try:
                if not answered:
                    await self._service.append_event(loaded, _event())
                answered = True
                await self._service.append_event(loaded, _event(delta))
            except StaleSessionError:
                continue
            return

    async def length(self, session: str) -> int:
        async with await psycopg.AsyncConnection.connect(libpq_url(self.database.url)) as connection:
            row = await (await connection.execute(_COUNT, [session])).fetchone()
            return 0 if row is None else int(row[0])

    async def _recent(self, session: str, count: int) -> Any:
        return await self._service.get_session(
            app_name=NAMESPACE, user_id=_USER, session_id=session, config=GetSessionConfig(num_recent_events=count)
        )


def _event(delta: dict[str, Any] | None = None) -> Event:
    content = types.Content(role="user", parts=[types.Part(text=message()["content"])])
    return Event(author=_USER, content=content, actions=EventActions(state_delta=delta or {}))
