"""Appends of events to ADK's sessions: each lands exactly once, on the version that the session object has."""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeAlias
from weakref import WeakValueDictionary

from ..errors import SessionConflictError
from ..errors import SessionNotFoundError as AbsentError
from ..ids import SessionId
from ..manager import SessionManager
from ..session import SessionResult
from .google_adk_reads import Reads
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
"""The state that is stored beside the events after an append, and the version of the session."""

_STALE: Final = (
    "The session has been modified in storage since it was loaded. "
    "Please reload the session before appending more events."
)


class Turn(asyncio.Lock):
    """The lock under which the tasks of an event loop append to a session, one after the other.

    Attributes:
        newest: The version that the last append under this lock made; None: no append has landed yet.
    """

    newest: int | None = None


class Appends:
    """Appends events.

    Args:
        sessions: The sessions.
        reads: Reads the sessions.
        scopes: The states of apps and users.
    """

    def __init__(self, sessions: SessionManager[State, Any], reads: Reads, scopes: Scopes) -> None:
        self._sessions = sessions
        self._reads = reads
        self._scopes = scopes
        self._turns: WeakValueDictionary[tuple[SessionId, int], Turn] = WeakValueDictionary()

    def turn(self, place: Place) -> Turn:
        """Returns the lock under which the tasks of an event loop append to a session, one after the other.

        Tasks may append to one session object at once, as parallel agents do. Each continues from the append before it.
        """
        key = (place.session, id(asyncio.get_running_loop()))
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = Turn()
        return turn

    async def append(self, turn: Turn, session: Session, event: Event, place: Place, deltas: Deltas) -> Landed | None:
        """Appends an event.

        Args:
            turn: The lock that the caller holds.
            session: The session object.
            event: The event, without temporary state.
            place: Where the session is kept.
            deltas: The changes of states that the event makes.

        Returns:
            What landed; None: the event was appended before, and the session object stays as it is.

        Raises:
            StaleSessionError: Somebody else appended since the session was loaded.
            SessionNotFoundError: There is no such session.
            AlreadyExistsError: The session has another event of this id.
        """
        data = json_of(event)
        loaded = marked(session) or await self._unmarked(session, place)
        position, version, whole = loaded
        if whole and (same := [other for other in session.events if other.id == event.id]):
            once(event, data, json_of(same[0]))
            return None
        shares = bool(deltas.app or deltas.user)
        # Looks before shared states are created for the event, and if the write would meet a later version.
        if (shares and not whole) or (turn.newest is not None and version < turn.newest):
            there, landed = await self._there(session, place, event, data, loaded)
            if there:
                return landed
        noted = await self._scopes.noted_for(place, deltas)

        def append(document: State) -> State:
            return document_of(document["state"] | deltas.session, position + 1, event.timestamp, noted)

        def update(seal: Seal) -> Any:
            items: dict[str, Any] = {"append": [data], "ids": [joined(event.id)], "only_new": True}
            change = changed(append, seal)
            return self._sessions.update_session(place.session, change, **items, expected_version=version)

        result = await written(update, place.session)
        if isinstance(result.error, SessionConflictError):
            there, landed = await self._there(session, place, event, data, loaded)
            if not there:
                raise StaleSessionError(_STALE)
            return landed
        document = opened(_present(result, session))
        turn.newest = result.version
        if noted:
            await self._scopes.applied(noted)
        return document, result.version

    async def _unmarked(self, session: Session, place: Place) -> Loaded:
        """Returns what a session object was loaded from, if this service did not make the object.

        The object is current if its last event is the last event that is stored.
        """
        found = await self._sessions.get_session(place.session, last_items=1)
        document = opened(_present(found, session))
        await self._scopes.settled_for(place, document)
        current = [item.data["id"] for item in found.items] == [event.id for event in session.events[-1:]]
        return Loaded(document["events"], known(found.version) if current else NEVER, whole=False)

    async def _there(
        self, session: Session, place: Place, event: Event, data: dict[str, Any], loaded: Loaded
    ) -> tuple[bool, Landed | None]:
        """Looks for the event in the session.

        Returns:
            Whether the session has the event; and what is stored, if this event is the only one since the session was
            loaded. Then the event landed, and its caller did not learn that.

        Raises:
            StaleSessionError: The session lacks the event, and another caller appended since the session was loaded.
        """
        seen = await self._reads.look(place, event.id)
        if seen is None:
            raise _absent(session)
        document, at, stored = seen
        if stored is None:
            if (at, at.write) != (loaded.version, loaded.version.write):
                raise StaleSessionError(_STALE)
            return False, None
        once(event, data, stored)
        await self._scopes.settled_for(place, document)
        current = (document["events"], at) == (loaded.position + 1, loaded.version + 1)
        return True, (document, at) if current else None


def _present(result: SessionResult[State, Any], session: Session) -> State:
    if isinstance(result.error, AbsentError):
        raise _absent(session)
    return result.unwrap()


def _absent(session: Session) -> SessionNotFoundError:
    return SessionNotFoundError(f"Session {session.id} not found.")
