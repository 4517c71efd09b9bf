"""ADK's sessions, events and states as the storage keeps them, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from pydantic import JsonValue

from ..ids import SessionId, Version
from .keys import joined
from .missing import missing_extra
from .sealed import State
from .shared import Change

try:
    from google.adk.errors.already_exists_error import AlreadyExistsError
    from google.adk.events import Event
    from google.adk.sessions import Session
except ModuleNotFoundError as error:
    raise missing_extra("google-adk", error) from error

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_PART: Final = "part"
NEVER: Final = Version(0)
"""No session is at this version."""


class Place(NamedTuple):
    """Where a session, the state of its app and the state of its user are kept."""

    session: SessionId
    app: SessionId
    user: SessionId
    owner: str


def place_of(app_name: str, user_id: str, session_id: str) -> Place:
    """Returns where a session is kept."""
    app, user = joined(app_name), joined(app_name, user_id)
    return Place(joined(app_name, user_id, session_id), app, user, joined(user_id))


def document_of(state: dict[str, Any], events: int, updated: float, changes: list[Change]) -> State:
    """Returns the state to store beside the events."""
    return {"state": state, "events": events, "updated": updated, "changes": changes}


class Loaded(NamedTuple):
    """What a session object was loaded from.

    Attributes:
        position: The position of the last event.
        version: The version of the session.
        whole: Whether all events were loaded. The number of events does not tell, because ADK adds events to session
            objects that it never stores.
    """

    position: int
    version: Version
    whole: bool


def session_of(
    app_name: str,
    user_id: str,
    session_id: str,
    document: State,
    version: int | None,
    state: dict[str, Any],
    events: Sequence[Event] = (),
) -> Session:
    """Returns a session object with the events that were loaded."""
    session = Session(app_name=app_name, user_id=user_id, id=session_id, state=state, events=list(events))
    mark(session, document, version, whole=len(events) == document["events"])
    return session


def mark(session: Session, document: State, version: int | None, *, whole: bool) -> None:
    """Notes in a session object what it was loaded from."""
    at = known(version)
    session.last_update_time = float(document["updated"])
    marker = f"{document['events']}@{int(at)}@{at.write}"
    session._storage_update_marker = marker if whole else f"{marker}@{_PART}"  # noqa: SLF001  # ADK's place for it


def marked(session: Session) -> Loaded | None:
    """Returns what mark() noted; None: mark() noted nothing. A note of another service is ignored."""
    marker = session._storage_update_marker  # noqa: SLF001
    if marker is None:
        return None
    try:
        position, number, write, *part = marker.split("@")
        return Loaded(int(position), Version(int(number), write), whole=not part)
    except ValueError:
        return Loaded(0, NEVER, whole=False)


def known(version: int | None) -> Version:
    """Returns the version of a session that was read."""
    assert isinstance(version, Version)
    return version


def json_of(event: Event) -> dict[str, Any]:
    """Returns an event as it is stored."""
    return event.model_dump(mode="json", exclude_none=True)


def item_ids(events: Iterable[Event]) -> list[str | None]:
    """Returns the ids of items for events. If several events have one id, only the first gets it."""
    first: dict[str, Event] = {}
    return [joined(event.id) if first.setdefault(event.id, event) is event else None for event in events]


def once(event: Event, data: dict[str, Any], stored: dict[str, Any]) -> Event:
    """Returns the stored event, if it is the same event.

    Raises:
        AlreadyExistsError: The stored event is another event.
    """
    if data != stored:
        raise AlreadyExistsError(f"The session has another event with the id {event.id}.")
    return event


def shown(text: str) -> JsonValue:
    """Returns the text in a form that an origin can hold."""
    return {"escaped": text.encode("unicode_escape").decode()} if _UNSTORABLE.search(text) else text


def named(shown: Any) -> str:
    """Returns the text that was given to shown()."""
    return shown if isinstance(shown, str) else str(shown["escaped"]).encode().decode("unicode_escape")
