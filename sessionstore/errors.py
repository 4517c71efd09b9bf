"""Everything that sessionstore raises, in one tree.

    SessionStoreError
    ├── ConfigurationError (ValueError)
    ├── SessionNotFoundError (LookupError)      absent or expired
    │   └── ItemNotFoundError                   no item has this id or position
    ├── SessionConflictError                    .expected .actual
    ├── SessionOwnerError                       the id belongs to another owner's live session
    ├── InvalidSessionIdError (ValueError)
    ├── InvalidStateError (ValueError)          .path: a state or an item cannot be stored
    │   ├── StateTooLargeError                  .size .limit
    │   └── CorruptStateError                   what is stored does not fit its type
    ├── StorageError                            the driver's error in __cause__
    │   ├── StorageUnavailableError
    │   └── UpdateOutcomeUnknownError
    └── SchemaError                             .found .wanted

A message says what happened, to which session, and what to do. It never holds a state, a password or a
URL; the fields that a program needs are attributes. Errors can be pickled and copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

_SHOWN_ID_CHARS = 80


def shown_id(session_id: object) -> str:
    """A session id for messages: escaped to ASCII, and shortened to 80 characters."""
    if not isinstance(session_id, str):
        return f"<{type(session_id).__name__}>"
    if len(session_id) > _SHOWN_ID_CHARS:
        return f"{session_id[:_SHOWN_ID_CHARS]!a}... ({len(session_id)} characters)"
    return ascii(session_id)


class SessionStoreError(Exception):
    """The root: catch this to catch everything that sessionstore itself raises."""

    def __reduce__(self) -> tuple[Callable[..., SessionStoreError], tuple[object, ...], object]:
        # The default would call __init__ with ``args``, which hold the message. __init__ takes other arguments.
        state: Any = self.__getstate__()
        if isinstance(state, tuple):  # a subclass has __slots__
            state = {name: value for part in state if part for name, value in part.items()}
        return _remade, (type(self), *self.args), state


def _remade(kind: type[SessionStoreError], *args: object) -> SessionStoreError:
    """Makes an error with this message and without fields. Does not call ``__init__``."""
    # Calls __new__ of Python's own exception type, because a subclass may have a __new__ with other parameters.
    builtin: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    error: SessionStoreError = builtin.__new__(kind, *args)
    error.args = args  # OSError sets args only in its __init__
    return error


class ConfigurationError(SessionStoreError, ValueError):
    """A setting, an argument or a URL is invalid; nothing was attempted."""


class SessionNotFoundError(SessionStoreError, LookupError):
    """No live session has this id: it never existed, was deleted, or has expired."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        shown = shown_id(session_id)
        super().__init__(f"session {shown} does not exist or has expired; create it with create_session()")


class ItemNotFoundError(SessionNotFoundError):
    """No item has this id in any live session of the namespace, or this position in the log of the session.

    Attributes:
        session_id: The session; "": the item was looked for in all sessions of the namespace.
        item_id: The id that was looked for; None: the item was looked for by position.
        position: The position that was looked for; None: the item was looked for by id.
    """

    def __init__(self, session_id: str = "", *, item_id: str | None = None, position: int | None = None) -> None:
        super().__init__(session_id)
        self.item_id = item_id
        self.position = position
        if position is None:
            message = f"no live session has an item with the id {shown_id(item_id)}"
        else:
            message = f"session {shown_id(session_id)} has no item at position {position} in this log"
        self.args = (f"{message}; it may have been removed, or its session may have expired",)


class SessionConflictError(SessionStoreError):
    """The session is not as the caller expected, and nothing was written.

    It is at another version or position, or has other items. Or another write made the expected version. Or a fork
    found a live session under the id of the copy, or the session has items with the ids of new ones.

    Attributes:
        expected: What the caller passed as ``expected_version`` or ``expected_position``, or the number of items that
            the caller saw (``unchanged_since``); 0 for a fork.
        actual: The version, last position or number of items that the session had when the write was refused.
        of: What was expected: "version"; "position"; "items"; "absence", if a fork found a live session; "ids", if the
            session has items with the ids of new ones (``only_new``): ``actual`` of them, and none was expected.
        refused: Whether only this update was refused, so that other updates of its batch may succeed.
    """

    def __init__(
        self,
        session_id: str,
        *,
        expected: int,
        actual: int,
        rewritten: bool = False,
        of: Literal["version", "position", "items", "absence", "ids"] = "version",
    ) -> None:
        self.session_id = session_id
        self.expected = expected
        self.actual = actual
        self.of = of
        self.refused = of == "ids"
        message = _CONFLICTS["rewritten" if rewritten else of]
        super().__init__(message.format(session=f"session {shown_id(session_id)}", expected=expected, actual=actual))


_CONFLICTS: Final = {
    "version": "{session} is at version {actual}, not at the expected {expected}; "
    "read it again and decide anew, or call update_session() without expected_version",
    "rewritten": "{session} is at version {actual} again, but with another state: the table was restored, or lost "
    "writes; read it again and decide anew, or call update_session() without expected_version",
    "position": "the last position of {session} is {actual}, not the expected {expected}; "
    "read its items again and decide anew, or call without expected_position",
    "items": "items of {session} were added or removed, or a new session has its id; "
    "read its items again and decide anew, or call without unchanged_since",
    "ids": "{session} already has items with these ids; use other ids, unless the update was delivered twice",
    "absence": "{session} exists, so no copy was made; fork to another id, or delete that session first",
}


class SessionOwnerError(SessionStoreError):
    """A live session of another owner has this id; nothing of that session is shown, and nothing was written."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"session {shown_id(session_id)} belongs to another owner; create yours under another id")


class InvalidSessionIdError(SessionStoreError, ValueError):
    """The argument cannot be a session id; the storage was not asked.

    Attributes:
        session_id: The argument, if it is a string; else None.
    """

    def __init__(self, session_id: object, reason: str) -> None:
        # Only plain text is kept: an object of the caller could make the error impossible to pickle.
        self.session_id = str.__str__(session_id) if isinstance(session_id, str) else None
        super().__init__(f"session id {shown_id(session_id)} {reason}")


class InvalidStateError(SessionStoreError, ValueError):
    """The state or an item cannot be stored, or would not be read back equal; nothing was written.

    Attributes:
        path: The place in the document, as a JSONPath such as ``$.turns[3].text``. The path of an item begins with
            its index among the items of the call: ``$[2].content[0].text``.
        reason: Why the state or item cannot be stored, as the end of a sentence.
        session_id: The session; None: it is not known.
    """

    def __init__(
        self, reason: str, *, path: str = "$", session_id: str | None = None, noun: Literal["state", "items"] = "state"
    ) -> None:
        self.reason = reason
        self.path = path
        self.session_id = session_id
        whose = f"the {noun}" if session_id is None else f"the {noun} of session {shown_id(session_id)}"
        super().__init__(f"{whose} cannot be stored: {path} {reason}")


class StateTooLargeError(InvalidStateError):
    """The encoded state is longer than ``max_state_bytes``, or an item than ``max_item_bytes``; nothing was written.

    Attributes:
        size: The length of the encoded state or item in bytes.
        limit: The longest that is accepted, in bytes.
    """

    def __init__(
        self,
        *,
        size: int,
        limit: int,
        path: str = "$",
        session_id: str | None = None,
        noun: Literal["state", "items"] = "state",
    ) -> None:
        self.size = size
        self.limit = limit
        advice = (
            "keep less in the session or raise max_state_bytes"
            if noun == "state"
            else "keep less in an item or raise max_item_bytes"
        )
        super().__init__(
            f"takes {size} bytes as JSON and the limit is {limit}; {advice}",
            path=path,
            session_id=session_id,
            noun=noun,
        )


class CorruptStateError(InvalidStateError):
    """A stored state or item does not fit its type; the row is left as it is.

    Another program wrote the row, or the type has changed since. ``sessionstore show``, or a manager with
    ``state_type=None``, can still read the state, and a manager with ``item_type=None`` the items. The path of an
    item begins with its position in the session: ``$[17].content[0].text``.

    Or newer code wrote it, under a later shape version (``state_version``, ``item_version``) than this manager knows.

    Attributes:
        found: The shape version of the stored state or item, if it is later than the manager knows; else None.
        known: The latest shape version that the manager knows, if ``found`` is given; else None.
    """

    def __init__(
        self,
        reason: str,
        *,
        path: str = "$",
        session_id: str | None = None,
        noun: Literal["state", "items"] = "state",
        found: int | None = None,
        known: int | None = None,
    ) -> None:
        super().__init__(reason, path=path, session_id=session_id, noun=noun)
        self.found = found
        self.known = known
        whose = "a session" if session_id is None else f"session {shown_id(session_id)}"
        if noun == "items":
            self.args = (f"the stored items of {whose} cannot be read: {path} {reason}; the row was left as it is",)
            return
        if found is not None:
            self.args = (f"the stored state of {whose} cannot be read: it {reason}; the row was left as it is",)
            return
        message = f"the stored state of {whose} does not fit its state type: {path} {reason}"
        self.args = (f"{message}; the row was left as it is, look at it with `sessionstore show`",)


class StorageError(SessionStoreError):
    """The storage failed. The driver's own error is the ``__cause__``.

    Attributes:
        code: The SQLSTATE or the name of the SQLite error; None: the driver gave none.
        refused: Whether the database refused this statement without any effect, and still answers other statements.
            Then a part of the batch may succeed alone.
    """

    refused = True

    def __init__(self, message: str, *, code: str | None = None) -> None:
        self.code = code
        super().__init__(message if code is None else f"{message} [{code}]")


class StorageUnavailableError(StorageError):
    """The storage could not be reached or did not answer in time; nothing was written. Try again later."""

    refused = False


class SessionHeldError(StorageUnavailableError):
    """The rows could not be locked, because another transaction held them for too long; nothing was written.

    Providers raise this to the update loop, which tries again. Callers see a StorageUnavailableError.
    """


class UpdateOutcomeUnknownError(StorageError):
    """The connection was lost or the time was up during a write, and it is unknown whether the write landed."""

    refused = False


class SchemaError(SessionStoreError):
    """The tables are missing, too old or too new for this version of sessionstore.

    Attributes:
        found: The revision of the database; None: it has no tables of sessionstore.
        wanted: The revision that this version of sessionstore needs.
        refused: Whether only this call needs a newer revision. Then a part of the batch may succeed alone.
    """

    refused = False

    def __init__(self, message: str, *, found: str | None, wanted: str) -> None:
        self.found = found
        self.wanted = wanted
        super().__init__(message)
