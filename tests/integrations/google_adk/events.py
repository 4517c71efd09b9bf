"""Events and names that the tests use."""

from __future__ import annotations

import itertools
from typing import Any, Final

from google.adk.events import Event, EventActions
from google.adk.sessions import Session
from google.genai import types

from sessionstore.integrations.google_adk import StoredSessionService

APP: Final = "app"
USER: Final = "user"

_times: Final = itertools.count(1_700_000_000)


def event(text: str = "hello", /, **delta: Any) -> Event:
    """A new event; keys of its change of the state are written with two underscores for a colon."""
    return Event(
        invocation_id="i",
        author="user",
        timestamp=float(next(_times)),
        content=types.Content(role="user", parts=[types.Part(text=text)]),
        actions=EventActions(state_delta={key.replace("__", ":"): value for key, value in delta.items()}),
    )


def texts(session: Session | None) -> list[str | None]:
    """The texts of the session's events."""
    assert session is not None
    return [part.text for it in session.events if it.content for part in it.content.parts or ()]


async def created(service: StoredSessionService, session_id: str = "s", **state: Any) -> Session:
    """A new session; keys as in event()."""
    state = {key.replace("__", ":"): value for key, value in state.items()}
    return await service.create_session(app_name=APP, user_id=USER, session_id=session_id, state=state)


async def loaded(service: StoredSessionService, session_id: str = "s") -> Session:
    """The session, which has to be there."""
    found = await service.get_session(app_name=APP, user_id=USER, session_id=session_id)
    assert found is not None
    return found
