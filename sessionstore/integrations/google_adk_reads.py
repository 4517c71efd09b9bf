"""Reads of ADK's sessions: one statement reads a session, its newest events, and the states of its app and user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from .. import arguments
from ..codec.items import ItemCodec
from ..codec.states import Codec
from ..concurrency.combine import Combiner
from ..concurrency.halves import by_key
from ..ids import SessionId, Version
from ..results import version
from ..storage import Document, Key, StorageProvider, StoredItem, Window
from ..updates.loop import UpdateLoop
from .copies import Copies
from .google_adk_records import Place
from .google_adk_scopes import Scopes
from .keys import joined
from .missing import missing_extra
from .sealed import MOST_BYTES, State, opened

try:
    from google.adk.events import Event
except ModuleNotFoundError as error:
    raise missing_extra("google-adk", error) from error

_ALL: Final = 2**31 - 1
_STATES: Final[Codec[Any]] = Codec(None, MOST_BYTES)
_ITEMS: Final[ItemCodec[Any]] = ItemCodec(None, MOST_BYTES)


class Found(NamedTuple):
    """A session as it was read.

    Attributes:
        document: The state that is stored beside the events.
        version: The version of the session.
        items: The events that were asked for, as they are stored.
        shared: The states of the app and the user at the same moment. States that do not exist are missing.
    """

    document: State
    version: Version
    items: Sequence[StoredItem]
    shared: dict[SessionId, State]


class Seen(NamedTuple):
    """The outcome of a look-up of an event in a session.

    Attributes:
        document: The state that is stored beside the events.
        version: The version of the session.
        event: The event as it is stored; None: the session does not have it.
    """

    document: State
    version: Version
    event: dict[str, Any] | None


class Reads:
    """Reads sessions.

    Args:
        storage: Where the sessions are kept.
        namespace: The namespace of the sessions.
        scopes: The states of apps and users.
    """

    def __init__(self, storage: StorageProvider, namespace: str, scopes: Scopes) -> None:
        self._storage = storage
        self._namespace = namespace
        self._scopes = scopes
        self._updates = UpdateLoop.of(storage)
        self._events = Copies(Event)
        self._looks: Combiner[tuple[SessionId, str], None, Seen | None] | None = None
        if (batching := storage.batching) is not None:
            self._looks = Combiner(
                by_key(self._look),
                size=batching.size,
                concurrency=batching.concurrency,
                min_parallel=batching.size,
                alone=False,
                weighed=False,
            )

    async def read(self, place: Place, newest: int | None) -> Found | None:
        """Reads a session, for an append that probably follows; None: the session does not exist.

        Args:
            place: Where the session is kept.
            newest: How many of the newest events to read; None: all.
        """
        keys = [Key(self._namespace, place.session), self._scopes.key(place.app), self._scopes.key(place.user)]
        limit = _ALL if newest is None else arguments.count(newest, "num_recent_events")
        window = Window(limit=limit) if limit else None
        session, *shared = await self._storage.get_group(keys, window=window)
        if session is None:
            return None
        self._updates.remember(session._replace(items=()))
        states = {it.summary.key.session_id: _state(it) for it in shared if it is not None}
        return Found(_state(session), version(session.summary), session.items, states)

    async def look(self, place: Place, event_id: str) -> Seen | None:
        """Looks up an event in a session; None: the session does not exist. Concurrent look-ups share a statement."""
        asked = (place.session, event_id)
        return (await self._look([asked]))[0] if self._looks is None else await self._looks.call(asked, None)

    async def _look(self, asked: Sequence[tuple[SessionId, str]]) -> Sequence[Seen | None]:
        # Each session is searched for the ids of all callers. So it may return an event that another caller wants.
        sessions = list(dict.fromkeys(session for session, _ in asked))
        ids = tuple({joined(event_id) for _, event_id in asked})
        found = await self._storage.get_many(
            [Key(self._namespace, session) for session in sessions],
            touch=False,
            window=Window(limit=len(ids), ids=ids),
        )
        documents = dict(zip(sessions, found, strict=True))
        return [_seen(documents[session], event_id) for session, event_id in asked]

    def events(self, place: Place, items: Sequence[StoredItem], since: float | None) -> list[Event]:
        """Returns the events of items, without those from before a time."""

        def data(item: StoredItem) -> dict[str, Any]:
            return _event(item, place.session)

        chosen = items if since is None else [item for item in items if data(item)["timestamp"] >= since]
        return [self._events.read(item.text, data, item) for item in chosen]


def _seen(document: Document | None, event_id: str) -> Seen | None:
    if document is None:
        return None
    events = [_event(item, document.summary.key.session_id) for item in document.items]
    event = next((event for event in events if event["id"] == event_id), None)
    return Seen(_state(document), version(document.summary), event)


def _event(item: StoredItem, session: SessionId) -> dict[str, Any]:
    event: dict[str, Any] = _ITEMS.decode(item.text, item.position, session, item.version)
    return event


def _state(document: Document) -> State:
    summary = document.summary
    return opened(_STATES.decode(document.state, summary.key.session_id, document.state_version))
