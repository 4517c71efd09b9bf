"""Session: the dict that a request gets, and the changes that the request makes in it."""

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
"""Stands for a value that cannot be stored. It differs from every JSON text, so the value counts as changed, and the
storage refuses it."""


class Changes(NamedTuple):
    """The changes of a request: the changed keys with their new values and JSON texts, and the removed keys."""

    changed: Mapping[str, Any]
    texts: Mapping[str, bytes]
    removed: frozenset[str]

    def apply(self, state: dict[str, Any]) -> None:
        """Applies the changes to a state. Keys that the request did not change stay as they are."""
        for key in self.removed:
            state.pop(key, None)
        state.update(self.changed)


class Row:
    """What the middleware knows about a session and the browser's cookie during one request.

    Attributes:
        given: The value of the cookie that the browser sent; None: it sent none.
        token: The value that the cookie has to have; None: there is no session.
        seen: The session as it was last read or written; None: it is not stored.
        error: Why the session could not be loaded.
        cleared: Whether the session was cleared, and its row has to be deleted yet.
        ended: Whether the session was cleared and its row deleted.
        renewed: Whether the session has to get a new id yet.
        written: Whether the row was written or accessed. Then the browser gets the cookie again.
        gone: Whether the session was deleted by another request or expired, during this request.
        begun: Whether the response has begun. Then its headers cannot change any more.
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
    """``request.session``: a dict of JSON values. Its changes are stored before the response begins.

    A change inside a nested value is stored too. If another request of the browser changed a key, and this request did
    not, the key keeps the value of the other request.

    Attributes:
        session_id: The id of the session's row in the storage; None: the session is not stored. The cookie cannot be
            derived from this id, so the id may appear in logs.
        owner_id: The owner of the session, as given to regenerate(); None: it has no owner.
        accessed: Whether the request used the session.
        modified: Whether a method of the dict changed it. A change inside a nested value does not set this.
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
        """Returns ``request.session`` with its type, because Starlette declares a plain dict.

        Raises:
            ConfigurationError: Another middleware made ``request.session``.
        """
        session = connection.session
        if not isinstance(session, cls):
            raise ConfigurationError("another session middleware made request.session; install only one of them")
        return session

    def regenerate(self, *, owner_id: str | None | EllipsisType = ...) -> None:
        """Gives the session a new id with the response. The old id ends, and the data stay.

        Call this when a user logs in or gains rights. Then an id that an attacker planted in the browser is useless
        (session fixation).

        Args:
            owner_id: The new owner, for example the user who logs in; None: no owner; ``...``: the owner stays. All
                sessions of an owner can be listed and deleted.

        Raises:
            RuntimeError: The response has begun, so the browser cannot get a new cookie.
        """
        self.mark_modified()
        if self.row.begun:
            raise RuntimeError(
                "the response has begun, so the browser cannot get a new session id; call regenerate() earlier"
            )
        self.row.renewed = True
        if not isinstance(owner_id, EllipsisType):
            self.owner_id = owner_id

    async def save(self) -> None:
        """Stores the changes now, before the response begins or ends, and moves the expiry.

        Call this in WebSockets and long streams. A new session must be stored before the response begins or the
        WebSocket is accepted, because that is when the browser gets its cookie.

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
        """Returns the changes since the session was loaded or stored; None: there are none."""
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
        """Notes that the storage does not have the session."""
        self.session_id = None
        self._texts = {}

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)  # a copy is a plain dict, not a session

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
        """Empties the session, and deletes its row and cookie. Keys that are set later go into a new session."""
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
    """Returns a value as it is stored, and its JSON text."""
    try:
        return value, _text(value)
    except Refused:
        pass
    # Values are written as by other session middlewares: a tuple as an array, an Enum member as its value.
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
        return plain, _text(plain)
    except (Refused, TypeError, ValueError, RecursionError):
        return value, _NO_TEXT


def _text(value: Any) -> bytes:
    text = dumps(value)
    # PostgreSQL sorts the keys of objects, so another order of keys is not a change.
    return dumps(in_jsonb_order(value)) if text[:1] in b"{[" else text
