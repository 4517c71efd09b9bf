"""Appends of events to ADK's sessions: each exactly once, and on the session that its object was loaded from."""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeAlias
from weakref import WeakValueDictionary

from ..errors import SessionConflictError
from ..errors import SessionNotFoundError as AbsentError
from ..ids import SessionId
from ..manager import SessionManager
from ..session import SessionResult
from .google_adk_records import NEVER, Loaded, Place, document_of, json_of, known, marked, once
from .google_adk_scopes import Deltas, Scopes
from .keys import joined
from .missing import missing_extra
from .sealed import Seal, State, changed, opened, written

try:
    from google.adk.errors._stale_session_error import StaleSessionError
    from google.adk.errors.session_not_found_error import SessionNotFoundError
    from google.adk.events import Event
    from google.adk.sessions import Session
except ModuleNotFoundError as error:
    raise missing_extra("google-adk", error) from error

Landed: TypeAlias = tuple[State, int | None]
"""What is stored beside the events after an append, and the version of the session."""

_STALE: Final = (
    "The session has been modified in storage since it was loaded. "
    "Please reload the session before appending more events."
)


class Appends:
    """Appends events.

    Args:
        sessions: The sessions.
        scopes: The states of apps and users.
    """

    def __init__(self, sessions: SessionManager[State, Any], scopes: Scopes) -> None:
        self._sessions = sessions
        self._scopes = scopes
        self._turns: WeakValueDictionary[tuple[SessionId, int], asyncio.Lock] = WeakValueDictionary()

    def turn(self, place: Place) -> asyncio.Lock:
        """Returns the lock under which the tasks of an event loop append to a session, one after the other.

        Tasks may append to one session object at once, as parallel agents do. Each goes on from the one before.
        """
        key = (place.session, id(asyncio.get_running_loop()))
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = asyncio.Lock()
        return turn

    async def append(self, session: Session, event: Event, place: Place, deltas: Deltas) -> Landed | None:
        """Appends an event.

        Args:
            session: The session object.
            event: The event, without temporary state.
            place: Where the session is kept.
            deltas: The changes of states that the event makes.

        Returns:
            None: the event was appended before, and the session object stays as it is.

        Raises:
            StaleSessionError: Somebody else appended since the session was loaded.
            SessionNotFoundError: There is no such session.
            AlreadyExistsError: The session has another event of this id.
        """
        data = json_of(event)
        position, version, whole = marked(session) or await self._unmarked(session, place)
        if not whole:
            if await self._has(session, place, event, data):
                return None
        elif same := [other for other in session.events if other.id == event.id]:
            once(event, data, json_of(same[0]))
            return None
        noted = await self._scopes.noted_for(place, deltas)

        def append(document: State) -> State:
            return document_of(document["state"] | deltas.session, position + 1, event.timestamp, noted)

        def update(seal: Seal) -> Any:
            items: dict[str, Any] = {"append": [data], "ids": [joined(event.id)]}
            change = changed(append, seal)
            return self._sessions.update_session(place.session, change, **items, expected_version=version)

        result = await written(update, place.session)
        if isinstance(result.error, SessionConflictError):
            if not await self._has(session, place, event, data):
                raise StaleSessionError(_STALE)
            # The event was appended before, and its caller did not learn it.
            result = await self._sessions.get_session(place.session)
            document = opened(_present(result, session.id))
            await self._scopes.settled_for(place, document)
            current = (document["events"], result.version) == (position + 1, version + 1)
            return (document, result.version) if current else None
        document = opened(_present(result, session.id))
        await self._scopes.applied(noted)
        return document, result.version

    async def _unmarked(self, session: Session, place: Place) -> Loaded:
        """Returns from what a session object was loaded that somebody else made.

        It is current if it ends with the event that was appended last.
        """
        found = await self._sessions.get_session(place.session, last_items=1)
        document = opened(_present(found, session.id))
        await self._scopes.settled_for(place, document)
        current = [item.data["id"] for item in found.items] == [event.id for event in session.events[-1:]]
        return Loaded(document["events"], known(found.version) if current else NEVER, whole=False)

    async def _has(self, session: Session, place: Place, event: Event, data: dict[str, Any]) -> bool:
        """Whether the session has the event."""
        found = await self._sessions.get_session(place.session, ids=[joined(event.id)], touch=False, remember=True)
        _present(found, session.id)
        for item in found.items:
            once(event, data, item.data)
        return bool(found.items)


def _present(result: SessionResult[State, Any], session_id: str) -> State:
    if isinstance(result.error, AbsentError):
        raise SessionNotFoundError(f"Session {session_id} not found.")
    return result.unwrap()
