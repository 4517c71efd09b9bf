"""The records of the storage seam: what providers are given, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from ..errors import ConfigurationError
from ..ids import Version, first_version
from .journal import Journal, new_write_id

Clock: TypeAlias = Callable[[], datetime]
"""Gives the aware UTC now. For tests, which steer time with it."""


class Key(NamedTuple):
    """What a document is found by. Two fields, so that "a" + "b:c" never meets "a:b" + "c"."""

    namespace: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A session to be created or set.

    Attributes:
        key: Where it will be found.
        state: The document, as JSON text.
        ttl: How long it lives after an access; None: no limit.
        max_lifetime: How long it lives at most, however active; None: no limit.
        origin: Where it came from, as the JSON text of an object.
        owner_id: Whose it is.
        version: The version that it starts at. Random, so that it never meets a version of an earlier session
            of the same key.
    """

    key: Key
    state: str
    ttl: timedelta | None = None
    max_lifetime: timedelta | None = None
    origin: str | None = None
    owner_id: str | None = None
    version: int = field(default_factory=first_version)


class Summary(NamedTuple):
    """Everything about a stored session but its state.

    ``deadline`` is when it expires however active, or None; the rest is as in SessionMetadata, with ``origin``
    as JSON text. ``last_write`` is the id of the write that made its state, "" for the state of its creation. Together
    with ``version`` it names the state also where a table was restored, after which versions come back.
    """

    key: Key
    version: int
    created_at: datetime
    updated_at: datetime
    last_accessed_at: datetime
    expires_at: datetime | None
    deadline: datetime | None
    ttl: timedelta | None
    origin: str | None
    owner_id: str | None
    last_write: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """A new state for a session, to be written only if it is still at the version and the last write that were read.

    Attributes:
        read: What was read. Where version and last write still are the same, so is the rest, but for the times of
            access.
        state: The new document, as JSON text.
        count: How many updates it stands for.
        id: What the row remembers it by, so that it can be told whether it landed when its answer was lost.
        keys: The idempotency keys that the row remembers from now on, see journal.py; None: those that it does.
    """

    read: Summary
    state: str
    count: int = 1
    id: str = field(default_factory=new_write_id)
    keys: str | None = None


class Document(NamedTuple):
    """A stored session: its state as JSON text, everything else about it, and its journal if that was asked for."""

    state: str
    summary: Summary
    journal: Journal | None = None


class Creation(NamedTuple):
    """What a creation found: the document that is there now, and whether this call put it there."""

    document: Document
    created: bool


class Page(NamedTuple):
    """Some of the sessions asked for, in key order. ``next`` goes into the next call; None: that was all."""

    sessions: Sequence[Summary]
    next: Key | None


class Stats(NamedTuple):
    """How many sessions a namespace holds: live ones, and expired ones that await the reaper."""

    namespace: str
    live: int
    expired: int
    oldest_expiry: datetime | None


class Purge(NamedTuple):
    """What a purge did: how many rows it deleted, and when the last of them expired; None: there was none.

    ``left`` is how many rows that expired before that it had to leave, because others held them. It may count a row
    too many, say one that was renewed meanwhile, and none too few.
    """

    deleted: int
    last: datetime | None
    left: int


def owned(document: Document | None, owner_id: str | None) -> Document | None:
    """The document, if it belongs to this owner; None: to any."""
    if document is None or owner_id is None or document.summary.owner_id == owner_id:
        return document
    return None


def at_version(document: Document | None, version: int | None) -> Document | None:
    """The document, if it is at this version; None: at any. A Version names the last write too."""
    if document is None or version is None:
        return document
    summary = document.summary
    if summary.version != version or (isinstance(version, Version) and version.write != summary.last_write):
        return None
    return document


def check_limit(limit: int) -> None:
    """Raises ConfigurationError for a page or a batch of no rows, which would never come to an end."""
    if limit < 1:
        raise ConfigurationError(f"a limit must be at least 1, not {limit}")


Owners: TypeAlias = Sequence[str | None] | None
"""An owner for each key, or None for any; None: any throughout. To an owner, the session of another is not there."""

Versions: TypeAlias = Sequence[int | None] | None
"""A version for each key, or None for any; None: any throughout. A Version also names the write that made it."""

Apply: TypeAlias = Callable[[Document], Write | None]
"""Makes a write of the document that was read; None: there is nothing to write."""
