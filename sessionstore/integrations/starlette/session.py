"""Session: the dict that a request gets, and what a request changed in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from ...codec.jsontext import Refused, dumps, in_jsonb_order
from ...errors import ConfigurationError, SessionStoreError
from ...ids import SessionId
from ...session import SessionResult

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

_NO_TEXT: Final = b""
"""Stands for a value that cannot be stored. It differs from every JSON text, so that the storage gets to refuse it."""


class Changes(NamedTuple):
    """What a request changed: the keys with their new values and JSON texts, and the keys that it removed."""

    changed: Mapping[str, Any]
    texts: Mapping[str, bytes]
    removed: frozenset[str]

    def apply(self, state: dict[str, Any]) -> None:
        """Makes the changes in a state; the keys that the request did not change stay as they are."""
        for key in self.removed:
            state.pop(key, None)
        state.update(self.changed)


class Row:
    """What the middleware knows of a session and of the browser's cookie, while it answers one request.

    Attributes:
        given: The value of the cookie that the browser sent; None: it sent none.
        token: The value that the cookie has to have; None: there is no session.
        seen: The session as it was read or written last; None: it is not stored.
        error: Why the session could not be loaded.
        cleared: Whether the session was cleared and its row still has to be deleted.
        ended: Whether the session was cleared and its row deleted.
        renewed: Whether the session still has to get a new id.
        written: Whether the row was written or accessed, so that the browser gets the cookie again.
        gone: Whether another request deleted the session, or it expired, while this one went on.
        begun: Whether the response has begun, so that the browser cannot be told anything more.
    """

    def __init__(self, given: str | None = None, save: Callable[[Session], Awaitable[None]] | None = None) -> None:
        self.given = given
        self.save = save
        self.token: str | None = None
        self.seen: SessionResult[dict[str, Any]] | None = None
        self.error: SessionStoreError | None = None
        self.cleared = self.ended = self.renewed = self.written = self.gone = self.begun = False
        self.saving = asyncio.Lock()


class Session(dict[str, Any]):
    """``request.session``: a dict of JSON values, whose changes are stored before the response begins.

    A change of a nested value is noticed too. Keys that this request did not change keep the value that other requests
    of the same browser give them.

    Attributes:
        session_id: The id of the row that the session has in the storage; None: it has none yet. Nobody can make the
            cookie from it, so it may appear in logs.
        owner_id: The user that the session belongs to, as regenerate() was told; None: nobody.
        accessed: Whether the request used the session.
        modified: Whether a method of the dict changed it. A change of a nested value does not show here.
    """

    accessed = False
    modified = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.session_id: SessionId | None = None
        self.owner_id: str | None = None
        self.row = Row()
        self._texts: dict[str, bytes] = {}

    @classmethod
    def of(cls, connection: HTTPConnection) -> Session:
        """``request.session`` by its type, for type checkers: Starlette calls it a plain dict.

        Raises:
            ConfigurationError: The session is that of another middleware.
        """
        session = connection.session
        if not isinstance(session, cls):
            raise ConfigurationError("request.session is of another middleware than sessionstore's; install only one")
        return session

    def regenerate(self, *, owner_id: str | None | EllipsisType = ...) -> None:
        """Gives the session a new id with the response, and ends the old one; the data stay.

        Call this when a user logs in or gains rights, so that an id that somebody planted in the browser is worth
        nothing (session fixation).

        Args:
            owner_id: Whom the session belongs to from now on, say the user who logs in; None: nobody. ``...``: as
                before. All sessions of an owner can be listed and deleted.

        Raises:
            RuntimeError: The response has begun, so that the browser cannot be told.
        """
        self.mark_modified()
        if self.row.begun:
            raise RuntimeError("the response has begun, and the browser cannot be told a new session id any more")
        self.row.renewed = True
        if not isinstance(owner_id, EllipsisType):
            self.owner_id = owner_id

    async def save(self) -> None:
        """Stores the changes now, instead of when the response begins or ends, and moves the expiry.

        For WebSockets and long streams, whose end may be far away. A new session must be stored before the response
        begins or the WebSocket is accepted, because the browser gets its cookie then.

        Raises:
            InvalidStateError: A value cannot be stored.
            StorageError: The storage failed.
        """
        self.mark_accessed()
        if self.row.save is not None:
            await self.row.save(self)

    def mark_accessed(self) -> None:
        """Notes that the request uses the session; Starlette calls this for ``request.session``.

        Raises:
            SessionStoreError: The session could not be loaded.
        """
        self.accessed = True
        if self.row.error is not None:
            raise self.row.error

    def mark_modified(self) -> None:
        """Notes that the request changed the session."""
        self.mark_accessed()
        self.modified = True

    def changes(self) -> Changes | None:
        """What was changed since the session was loaded or stored; None: nothing was."""
        changed: dict[str, Any] = {}
        texts: dict[str, bytes] = {}
        for key, value in self.items():
            plain, text = _plain(value)
            if text != self._texts.get(key):
                changed[key], texts[key] = plain, text
        removed = frozenset(self._texts.keys() - self.keys())
        return Changes(changed, texts, removed) if changed or removed else None

    def note_stored(self, changes: Changes | None) -> None:
        """Notes that these changes are stored."""
        if changes is not None:
            self._texts = {key: text for key, text in self._texts.items() if key not in changes.removed}
            self._texts.update(changes.texts)

    def note_loaded(self, state: Mapping[str, Any]) -> None:
        """Fills the session with the state of its row."""
        super().update(state)
        self._texts = {key: _plain(value)[1] for key, value in state.items()}

    def note_ended(self) -> None:
        """Notes that the storage has nothing of the session."""
        self.session_id = None
        self._texts = {}

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)  # a copy is a plain dict, and no session of a browser

    def __setitem__(self, key: str, value: Any) -> None:
        self.mark_modified()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self.mark_modified()
        super().__delitem__(key)

    def __ior__(self, other: Any, /) -> Self:  # type: ignore[override,misc]
        self.mark_modified()
        return super().__ior__(other)

    def clear(self) -> None:
        """Empties the session, and ends it: the row and the cookie go. What is set afterwards gets a new id."""
        self.mark_modified()
        self.row.cleared = True
        self.owner_id = None
        super().clear()

    def pop(self, key: str, *default: Any) -> Any:
        if key in self:
            self.mark_modified()
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        item = super().popitem()
        self.mark_modified()
        return item

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self.mark_modified()
        return super().setdefault(key, default)

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.mark_modified()
        super().update(*args, **kwargs)


def _plain(value: Any) -> tuple[Any, bytes]:
    """A value as it is stored, with its JSON text."""
    try:
        return value, _text(value)
    except Refused:
        pass
    # As other session middlewares write values: a tuple becomes an array, the member of an Enum its value.
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
        return plain, _text(plain)
    except (Refused, TypeError, ValueError, RecursionError):
        return value, _NO_TEXT


def _text(value: Any) -> bytes:
    text = dumps(value)
    # PostgreSQL sorts the keys of objects. Sorting them is no change.
    return dumps(in_jsonb_order(value)) if text[:1] in b"{[" else text
