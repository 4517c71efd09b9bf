"""Google ADK's DatabaseSessionService: sessions with a state and a log of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.adk.errors._stale_session_error import StaleSessionError
from google.adk.events import Event, EventActions
from google.adk.sessions import DatabaseSessionService
from google.adk.sessions.base_session_service import GetSessionConfig

from ..contestant import NAMESPACE, POOL_SIZE, Contestant
from ..states import Change, State, make_state

_USER = "user"


class GoogleAdk(Contestant):
    """`get_session()`, then `append_event()` with what has changed; a stale session is loaded again."""

    packages = ("google-adk",)
    driver = "asyncpg"
    job = "appends an event with each write; no TTL"
    note = (
        "`get_session()` without events, `append_event()` with a `state_delta` of the two changed keys. Refuses a "
        "stale session, which is then loaded and changed again, as its message says. All events stay."
    )

    async def setup(self) -> None:
        await self.open()
        await self._service.prepare_tables()
        await self.close()

    async def open(self) -> None:
        self._service = DatabaseSessionService(self.database.asyncpg_url, pool_size=POOL_SIZE, max_overflow=0)
        await self.stack.enter_async_context(self._service)

    async def load(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            await self._service.create_session(
                app_name=NAMESPACE, user_id=_USER, session_id=session, state=make_state(session)
            )

    async def get(self, session: str) -> State:
        state: State = (await self._load(session)).state
        return state

    async def read_modify_write(self, session: str, change: Change) -> None:
        while True:
            loaded = await self._load(session)
            before = loaded.state
            after = change(dict(before))
            delta = {name: value for name, value in after.items() if value != before[name]}
            try:
                await self._service.append_event(loaded, Event(author=_USER, actions=EventActions(state_delta=delta)))
            except StaleSessionError:
                continue
            return

    async def _load(self, session: str) -> Any:
        return await self._service.get_session(
            app_name=NAMESPACE, user_id=_USER, session_id=session, config=GetSessionConfig(num_recent_events=0)
        )
