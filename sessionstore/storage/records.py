"""The records of the storage seam: the arguments and results of providers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from ..errors import ConfigurationError
from ..ids import Version, first_version
from .journal import Journal, new_write_id

Clock: TypeAlias = Callable[[], datetime]
"""Returns the current time as an aware datetime in UTC. Tests pass one to control time."""


def time_of(clock: Clock) -> datetime:
    """Returns the time of a clock that the service gave.

    Raises:
        ConfigurationError: The clock does not return an aware datetime.
    """
    now: object = clock()
    if not isinstance(now, datetime) or now.utcoffset() is None:
        given = "datetime without a time zone" if isinstance(now, datetime) else type(now).__name__
        raise ConfigurationError(f"clock must return an aware datetime, say datetime.now(UTC), not a {given}")
    return now


def check_clock(clock: object) -> None:
    """Checks that a clock can be called.

    Raises:
        ConfigurationError: It cannot.
    """
    if clock is not None and not callable(clock):
        raise ConfigurationError(
            f"clock must be a function that returns an aware datetime, not a {type(clock).__name__}"
        )


class Key(NamedTuple):
    """The key of a document. Has two fields, so that "a" + "b:c" and "a:b" + "c" are different keys."""

    namespace: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A session to create or set.

    Attributes:
        key: The key of the session.
        state: The state, as JSON text.
        ttl: How long the session lives after an access; None: no limit.
        max_lifetime: How long the session lives at most, even if it is accessed; None: no limit.
        origin: Where the session came from, as the JSON text of an object; None: unknown.
        owner_id: The owner; None: nobody.
        version: The first version of the session. Random, so that it differs from the versions of an earlier session
            with the same key.
    """

    key: Key
    state: str
    ttl: timedelta | None = None
    max_lifetime: timedelta | None = None
    origin: str | None = None
    owner_id: str | None = None
    version: int = field(default_factory=first_version)


class Summary(NamedTuple):
    """A stored session without its state.

    ``deadline`` is the time at which the session expires even if it is accessed; None: never. ``last_write`` is the id
    of the write that made the state, "" for the state of the creation. ``version`` and ``last_write`` together
    identify a state, even after a restore, when versions come back. The other fields are as in SessionMetadata, with
    ``origin`` as JSON text.
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
    """A new state for a session, written only if the session still has the version and last write that were read.

    Attributes:
        read: The summary that was read. While version and last write are unchanged, only the times of access can
            differ from it.
        state: The new state, as JSON text.
        count: The number of updates that this write stands for.
        id: The id of the write in the journal. It tells whether the write landed, when its answer was lost.
        keys: The idempotency keys that the row keeps from now on, see journal.py; None: unchanged.
    """

    read: Summary
    state: str
    count: int = 1
    id: str = field(default_factory=new_write_id)
    keys: str | None = None


class Document(NamedTuple):
    """A stored session: its state as JSON text, its summary, and its journal if the caller asked for the journal."""

    state: str
    summary: Summary
    journal: Journal | None = None


class Creation(NamedTuple):
    """The result of a creation: the document in the storage, and whether this call created it."""

    document: Document
    created: bool


class Page(NamedTuple):
    """One page of a listing, in key order. ``next`` is the ``after`` of the next call; None: this is the last page."""

    sessions: Sequence[Summary]
    next: Key | None


class Stats(NamedTuple):
    """The number of live sessions in a namespace, and of expired sessions that are not yet deleted."""

    namespace: str
    live: int
    expired: int
    oldest_expiry: datetime | None


class Purge(NamedTuple):
    """The result of a purge.

    ``deleted`` is the number of deleted rows, and ``last`` the latest expiry among them (None: no row was deleted).
    ``left`` is the number of rows that expired before ``last`` and stay, because other transactions hold them. It
    may count too many rows, for instance one that was renewed during the purge, but never too few.
    """

    deleted: int
    last: datetime | None
    left: int


def owned(document: Document | None, owner_id: str | None) -> Document | None:
    """Returns the document if it belongs to this owner (None: to anybody), else None."""
    if document is None or owner_id is None or document.summary.owner_id == owner_id:
        return document
    return None


def at_version(document: Document | None, version: int | None) -> Document | None:
    """Returns the document if it is at this version (None: at any), else None. A Version also names the last write."""
    if document is None or version is None:
        return document
    summary = document.summary
    if summary.version != version or (isinstance(version, Version) and version.write != summary.last_write):
        return None
    return document


def check_limit(limit: int) -> None:
    """Checks the limit of a page or a batch.

    Raises:
        ConfigurationError: The limit is less than 1: a loop over such pages would never end.
    """
    if limit < 1:
        raise ConfigurationError(f"a limit must be at least 1, not {limit}")


Owners: TypeAlias = Sequence[str | None] | None
"""An owner for each key, or None for any owner; None: any owner for all keys."""

Versions: TypeAlias = Sequence[int | None] | None
"""A version for each key, or None for any version; None: any version for all keys."""

Apply: TypeAlias = Callable[[Document], Write | None]
"""Returns the write for the document that was read; None: there is nothing to write."""
