"""Session ids and namespaces: what may be one, and how new ones are made."""

from __future__ import annotations

import re
import secrets

from .errors import ConfigurationError, InvalidSessionIdError

SessionId = str
"""A session id is a plain ``str`` of 1 to 255 characters."""

MAX_LENGTH = 255

# Unicode category Cc, and the surrogates, which are no characters and have no UTF-8.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# 53 bits survive every JSON reader, so a version may travel to a browser. One bit is kept free for counting up.
_VERSION_BITS = 52
_MOST_WRITES = 1 << 20

LAST_VERSION = 2**62
"""No session comes to it by writes; databases count up to twice that."""


class Version(int):
    """A version that also knows which write made it.

    To everybody it is the number. Given back as ``expected_version`` it fits only the state of that write: after a
    restore, or a failover that lost writes, the same number may come back with another state.

    Attributes:
        write: The id of the write; "" for the state of the creation.
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
    """The version at which a new session starts.

    It is random, because a version must not come back: a writer that read a session before it expired or was
    deleted must fail against the next session of the same id, and that one's row knows nothing of the first.
    """
    return secrets.randbits(_VERSION_BITS) + 1


def started_at(version: int, first: int) -> bool:
    """Whether a session that is at this version now may have started at that one: no other comes so near by chance."""
    return 0 <= version - first < _MOST_WRITES


def plain_text(name: str) -> str:
    """The characters of a string, without what a class of it makes of them: one may compare without regard to case."""
    return name if type(name) is str else str.__str__(name)


def fault_of(name: object) -> str | None:
    """Why this cannot be an id or a namespace, as the end of a sentence; None where it can."""
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
    """Returns the id, or raises InvalidSessionIdError saying what is wrong with it."""
    if fault := fault_of(session_id):
        raise InvalidSessionIdError(session_id, fault)
    assert isinstance(session_id, str)
    return plain_text(session_id)


def check_namespace(namespace: object) -> str:
    """Returns the namespace, or raises ConfigurationError saying what is wrong with it."""
    if fault := fault_of(namespace):
        raise ConfigurationError(f"namespace {ascii(namespace)[:100]} {fault}")
    assert isinstance(namespace, str)
    return plain_text(namespace)


def check_filters(**filters: object) -> None:
    """Raises ConfigurationError for a filter that holds what no id, owner or namespace can hold.

    A database would refuse it too, but each in a way of its own.

    Args:
        **filters: By the name of the argument; None: there is no filter.
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
    """A session id as logs show it: enough to follow one conversation, too little to take it over."""
    return session_id if len(session_id) <= 8 else f"{session_id[:8]}..."
