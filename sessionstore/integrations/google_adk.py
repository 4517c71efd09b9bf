"""Google ADK: `StoredSessionService` keeps sessions, events and states, behind ADK's `BaseSessionService`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, Self

from ..manager import DEFAULT_TTL, SessionManager
from ..storage import StorageProvider
from .google_adk_appends import Appends
from .google_adk_reads import Reads
from .google_adk_records import document_of, item_ids, json_of, mark, marked, named, place_of, session_of, shown
from .google_adk_scopes import Scopes, deltas_of, merged, temporary
from .keys import joined, prefix_of
from .missing import missing_extra
from .sealed import MOST_BYTES, Seal, State, listed, written

try:
    from google.adk.errors.already_exists_error import AlreadyExistsError
    from google.adk.events import Event
    from google.adk.platform import time as platform_time
    from google.adk.platform import uuid as platform_uuid
    from google.adk.sessions import BaseSessionService, Session
    from google.adk.sessions.base_session_service import GetSessionConfig, ListSessionsResponse
except ModuleNotFoundError as error:
    raise missing_extra("google-adk", error) from error

_NAMESPACE: Final = "google-adk"


class StoredSessionService(BaseSessionService):
    """Keeps ADK's sessions in a storage: events as items, and each session's own state beside them.

    An event and its change of the session's state land in one write or not at all. Changes of ``app:`` and ``user:``
    state are noted in the same write, and applied before append_event() returns. If the process dies in between, the
    next call that reads the session applies them. An event that is delivered again, with the same id, is appended once.

    If another caller appended to the session since it was loaded, append_event() raises ADK's StaleSessionError. The
    position of the last event decides, not a time.

    A fault of the storage raises StorageError, so an outage never looks like a session that does not exist.

    Args:
        storage: Where the sessions are kept; the caller closes it.
        ttl: How long a session lives after it was read or written; None: for ever. If the argument is missing,
            ``SESSION_TTL_SECONDS`` decides, then 30 minutes. A session keeps the TTL that it was created with. States
            of apps and users do not expire; delete_user() deletes those of a user.

    Raises:
        ConfigurationError: The TTL is invalid.
    """

    def __init__(self, storage: StorageProvider, *, ttl: timedelta | None = DEFAULT_TTL) -> None:
        self._storage = storage
        self._ttl = ttl
        self._sessions = self._beginning_with({})
        self._shared = Scopes(storage, f"{_NAMESPACE}-state")
        self._reads = Reads(storage, _NAMESPACE, self._shared)
        self._appends = Appends(self._sessions, self._reads, self._shared)

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Creates a session.

        Args:
            app_name: The name of the app.
            user_id: The id of the user.
            state: The first state. Keys that begin with ``app:`` and ``user:`` are set for the app and for the user.
            session_id: The id, without the white space around it; None or empty: a new one.

        Raises:
            AlreadyExistsError: The user has a session of this id. Nothing was written.
            InvalidStateError: The state holds NaN or an infinity, or is too long. Nothing was written.
            StorageError: The storage failed.
        """
        name = (session_id or "").strip() or platform_uuid.new_uuid()
        new = Session(app_name=app_name, user_id=user_id, id=name, state=state or {})
        new.last_update_time = platform_time.get_time()
        return await self.import_session(new)

    async def import_session(self, session: Session) -> Session:
        """Stores a session with its state and events, for example one that another ADK service returned.

        Its ``app:`` and ``user:`` state is set for the app and the user. The changes of state in its events are not
        applied, because its state has them already.

        Raises:
            AlreadyExistsError: The user has a session of this id. Nothing was written.
            InvalidStateError: The state or an event holds NaN or an infinity, or is too long. Nothing was written.
            StorageError: The storage failed.
        """
        place = place_of(session.app_name, session.user_id, session.id)
        deltas = deltas_of(session.state)
        noted = await self._shared.noted_for(place, deltas)
        document = document_of(deltas.session, len(session.events), session.last_update_time, noted)
        origin = {"app_name": session.app_name, "user_id": session.user_id, "session_id": session.id}
        facts: dict[str, Any] = {
            "items": list(map(json_of, session.events)),
            "ids": item_ids(session.events),
            "origin": {name: shown(text) for name, text in origin.items()},
            "owner_id": place.owner,
        }

        def create(seal: Seal) -> Any:
            return self._beginning_with(seal(document)).create_session(place.session, **facts)

        created = await written(create, place.session)
        created.unwrap()
        if not created.created:
            raise AlreadyExistsError(f"Session with id {session.id} already exists.")
        state = merged(place, document, await self._shared.settled_for(place, document))
        events = [event.model_copy(deep=True) for event in session.events]
        names = session.app_name, session.user_id, session.id
        return session_of(*names, document, created.version, state, events)

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> Session | None:
        """Reads a session, with the newest ``config.num_recent_events`` of its events, or with all.

        If ``config.after_timestamp`` is set, earlier events are left out.

        Returns:
            None: there is no such session, or it has expired.

        Raises:
            StorageError: The storage failed.
        """
        config = config or GetSessionConfig()
        place = place_of(app_name, user_id, session_id.strip())
        found = await self._reads.read(place, config.num_recent_events)
        if found is None:
            return None
        state = merged(place, found.document, await self._shared.settled(found.document["changes"], found.shared))
        events = self._reads.events(place, found.items, config.after_timestamp)
        return session_of(app_name, user_id, session_id.strip(), found.document, found.version, state, events)

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        """Lists the sessions of an app or of one of its users, without events. The oldest last event comes first.

        Raises:
            StorageError: The storage failed.
        """
        prefix = prefix_of(app_name) if user_id is None else prefix_of(app_name, user_id)
        found = [each async for each in listed(self._sessions, prefix)]
        if not found:
            return ListSessionsResponse()
        app = joined(app_name)
        if user_id is None:
            shared = await self._shared.read([app]) | await self._shared.list(prefix)
        else:
            shared = await self._shared.read([app, joined(app_name, user_id)])
        shared = await self._shared.settled((it for _, document in found for it in document["changes"]), shared)
        sessions: list[Session] = []
        for info, document in found:
            origin = info.metadata.origin or {}
            user, name = named(origin["user_id"]), named(origin["session_id"])
            state = merged(place_of(app_name, user, name), document, shared)
            sessions.append(session_of(app_name, user, name, document, info.version, state))
        sessions.sort(key=lambda session: (session.last_update_time, session.user_id, session.id))
        return ListSessionsResponse(sessions=sessions)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Deletes a session with its events. States of the app and of the user stay.

        Raises:
            StorageError: The storage failed.
        """
        (await self._sessions.delete_session(joined(app_name, user_id, session_id.strip()))).unwrap()

    async def delete_user(self, *, user_id: str, app_name: str | None = None) -> None:
        """Deletes all sessions of a user, with their events, and the user's state. ADK has no such method.

        Args:
            user_id: The id of the user.
            app_name: Only in this app; None: in all.

        Raises:
            StorageError: The storage failed, and a part may be deleted. Call again.
        """
        owner = joined(user_id)
        prefix = "" if app_name is None else prefix_of(app_name, user_id)
        await self._sessions.delete_sessions(owner_id=owner, prefix=prefix)
        await self._shared.deleted(owner, None if app_name is None else joined(app_name, user_id))

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """Reads the state of a user, without the prefix ``user:``; empty if there is none.

        Raises:
            StorageError: The storage failed.
        """
        name = joined(app_name, user_id)
        state = (await self._shared.read([name])).get(name)
        return {} if state is None else dict(state["values"])

    async def append_event(self, session: Session, event: Event) -> Event:
        """Appends an event to a session, and applies its changes of states. A partial event is not stored.

        If the session has an event of the same id and content, the event landed before, and nothing is written.

        Args:
            session: A session that this service returned. The event is added to this object too.
            event: The event. Changes of ``temp:`` state go to ``session`` only, and are removed from the event.

        Raises:
            StaleSessionError: The session was appended to since it was loaded. Load it again.
            SessionNotFoundError: There is no such session, or it has expired.
            AlreadyExistsError: The session has another event of this id.
            InvalidStateError: The event holds NaN or an infinity, or is too long. Nothing was written.
            StorageError: The storage failed. Append the event again, with the same id: it is appended once.
        """
        if event.partial:
            return event
        place = place_of(session.app_name, session.user_id, session.id)
        turn = self._appends.turn(place)
        async with turn:
            passing = temporary(event.actions.state_delta)
            event = self._trim_temp_delta_state(event)
            landed = await self._appends.append(turn, session, event, place, deltas_of(event.actions.state_delta))
            if landed is not None:
                session.state.update(passing)
                self._update_session_state(session, event)
                session.events.append(event)
                loaded = marked(session)
                mark(session, *landed, whole=loaded is not None and loaded.whole)
        return event

    async def close(self) -> None:
        """Does nothing, because the caller closes the storage. Services call it on ADK's own stores."""

    async def __aenter__(self) -> Self:
        """Returns the service."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Does what close() does."""
        await self.close()

    def _beginning_with(self, state: State) -> SessionManager[State, Any]:
        return SessionManager(
            lambda _: state,
            self._storage,
            _NAMESPACE,
            ttl=self._ttl,
            max_state_bytes=MOST_BYTES,
            max_item_bytes=MOST_BYTES,
        )
