"""Session ids, namespaces and versions: the rules for names, and how new ids and first versions are made."""

from __future__ import annotations

import re
import secrets

from .errors import ConfigurationError, InvalidSessionIdError

SessionId = str
"""A session id is a plain ``str`` of 1 to 255 characters."""

MAX_LENGTH = 255

# Unicode category Cc, and the surrogates, which UTF-8 cannot encode.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# Every JSON reader keeps integers of 53 bits, so a version can be sent to a browser. One bit is left for counting up.
_VERSION_BITS = 52
_MOST_WRITES = 1 << 20

LAST_VERSION = 2**62
"""The largest version that a write increases. Writes alone never reach it. Databases hold numbers up to its double."""


class Version(int):
    """A version number that also knows which write made it.

    As ``expected_version`` it matches only the state of that write. After a restore, or a failover that lost writes,
    the same number may belong to another state. In every other way it behaves as the number.

    Attributes:
        write: The id of the write; "": the creation of the session made the version.
    """

    write: str

    def __new__(cls, number: int, write: str = "") -> Version:
        version = super().__new__(cls, number)
        version.write = write
        return version


def new_session_id() -> SessionId:
    """A new id with 192 bits from the operating system's random source (RFC 4086), safe in a URL."""
    return secrets.token_urlsafe(24)


def first_version() -> int:
    """Returns the version at which a new session starts: a random number.

    A version must never come back. A writer may have read a session that then expired or was deleted; its write must
    not match the next session of the same id, whose row knows nothing of the earlier session.
    """
    return secrets.randbits(_VERSION_BITS) + 1


def started_at(version: int, first: int) -> bool:
    """Whether a session at ``version`` may have started at ``first``. Random starts are never that close by chance."""
    return 0 <= version - first < _MOST_WRITES


def plain_text(name: str) -> str:
    """Returns the string as a plain ``str``. A subclass may behave differently, say compare without regard to case."""
    return name if type(name) is str else str.__str__(name)


def fault_of(name: object) -> str | None:
    """Returns why the name cannot be an id or a namespace, as the end of a sentence; None: it can."""
    if not isinstance(name, str):
        return "must be a string"
    name = plain_text(name)
    if not name:
        return "must not be empty"
    if len(name) > MAX_LENGTH:
        return f"must have at most {MAX_LENGTH} characters"
    if not name.isprintable() and (found := _FORBIDDEN.search(name)):
        return f"must hold no control characters and no lone surrogates (at position {found.start()})"
    return None


def check_session_id(session_id: object) -> SessionId:
    """Returns the id as a plain ``str``.

    Raises:
        InvalidSessionIdError: The id breaks the rule; with the reason.
    """
    if fault := fault_of(session_id):
        raise InvalidSessionIdError(session_id, fault)
    assert isinstance(session_id, str)
    return plain_text(session_id)


def check_namespace(namespace: object) -> str:
    """Returns the namespace as a plain ``str``.

    Raises:
        ConfigurationError: The namespace breaks the rule; with the reason.
    """
    if fault := fault_of(namespace):
        raise ConfigurationError(f"namespace {ascii(namespace)[:100]} {fault}")
    assert isinstance(namespace, str)
    return plain_text(namespace)


def check_filters(**filters: object) -> None:
    """Checks filters by id, owner or namespace, so that every storage refuses the same ones in the same way.

    Args:
        **filters: The filters by the name of the argument; None: there is no filter.

    Raises:
        ConfigurationError: A filter is no string, or holds a character that no id can hold.
    """
    for name, value in filters.items():
        if value is None:
            continue
        if not isinstance(value, str):
            raise ConfigurationError(f"{name} must be a string, not a {type(value).__name__}")
        if not value.isprintable() and (found := _FORBIDDEN.search(value)):
            raise ConfigurationError(
                f"{name} must hold no control characters and no lone surrogates (at position {found.start()})"
            )


def short_id(session_id: SessionId) -> str:
    """Returns the first 8 characters of a session id, for logs. They do not suffice to access the session."""
    return session_id if len(session_id) <= 8 else f"{session_id[:8]}..."
