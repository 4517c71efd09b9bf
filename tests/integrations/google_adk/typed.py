"""What type checkers make of the service; nothing here runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

from google.adk.events import Event
from google.adk.sessions import BaseSessionService, Session
from google.adk.sessions.base_session_service import ListSessionsResponse

from sessionstore import open_storage
from sessionstore.integrations.google_adk import StoredSessionService


async def use() -> None:
    async with open_storage() as storage:
        service: BaseSessionService = StoredSessionService(storage, ttl=timedelta(days=30))
        forever = StoredSessionService(storage, ttl=None)
        created = assert_type(await forever.create_session(app_name="a", user_id="u"), Session)
        assert_type(await forever.get_session(app_name="a", user_id="u", session_id="s"), Session | None)
        assert_type(await forever.list_sessions(app_name="a"), ListSessionsResponse)
        assert_type(await forever.append_event(created, Event(author="user")), Event)
        assert_type(await forever.get_user_state(app_name="a", user_id="u"), dict[str, Any])
        await forever.delete_user(user_id="u")
        await service.flush()
