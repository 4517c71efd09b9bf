"""The records of the storage seam: the arguments and results of providers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from ..errors import ConfigurationError
from ..ids import Version, first_version
from .items import NewItem, StoredItem
from .journal import Journal, new_write_id
from .lifetime import FIRST_TIME, LAST_TIME

_FIRST_CLOCK: Final = FIRST_TIME + timedelta(days=1)
_LAST_CLOCK: Final = LAST_TIME - timedelta(days=1)

Clock: TypeAlias = Callable[[], datetime]
"""Returns the current time as an aware datetime in UTC. Tests pass one to control time."""


def time_of(clock: Clock) -> datetime:
    """Returns the time of the service's clock, limited to the range of session times less a day at either end.

    Raises:
        ConfigurationError: The clock does not return an aware datetime.
    """
    now: object = clock()
    if not isinstance(now, datetime) or now.utcoffset() is None:
        given = "datetime without a time zone" if isinstance(now, datetime) else type(now).__name__
        raise ConfigurationError(f"clock must return an aware datetime, such as datetime.now(UTC), not a {given}")
    return max(_FIRST_CLOCK, min(now, _LAST_CLOCK))


def check_clock(clock: object) -> None:
    """Checks that a clock can be called.

    Raises:
        ConfigurationError: The clock cannot be called.
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
        items: The first items of a session that is created. A session that is set keeps its items, and gets none.
        keep: How many items of a log the session keeps; None: all.
        state_version: The shape version of the state.
    """

    key: Key
    state: str
    ttl: timedelta | None = None
    max_lifetime: timedelta | None = None
    origin: str | None = None
    owner_id: str | None = None
    version: int = field(default_factory=first_version)
    items: Sequence[NewItem] = ()
    keep: int | None = None
    state_version: int = 1


class Summary(NamedTuple):
    """A stored session without its state.

    ``deadline`` is the time at which the session expires even if it is accessed; None: never. ``last_write`` is the id
    of the write that made the state, "" for the state of the creation. ``version`` and ``last_write`` together
    identify a state, even after a restore, when versions come back. ``last_position`` is the position of the item that
    was appended last, 0 before the first one; it stays when items are removed. ``item_count`` is the number of items in
    all logs. ``appended`` holds the positions of the items that the call appended, in the order given; None: the item
    was passed over, because the session already has an item with its id. ``created`` says whether an append created the
    session. The other fields are as in SessionMetadata, with ``origin`` as JSON text.
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
    last_position: int = 0
    item_count: int = 0
    appended: Sequence[int | None] = ()
    created: bool = False


@dataclass(slots=True)
class Write:
    """A new state for a session, written only if the session still has the version and last write that were read.

    The class is not frozen, because making a frozen object takes three times as long. No code changes an object.

    Attributes:
        read: The summary that was read. Accesses and appends since the read change neither version nor last write.
        state: The new state, as JSON text.
        count: The number of updates that this write stands for.
        id: The id of the write in the journal. It tells whether the write landed, when its answer was lost.
        keys: The idempotency keys that the row keeps from now on, see journal.py; None: unchanged.
        keys_read: Write only if the row still has these idempotency keys, because an append adds keys without changing
            the version; None: whichever keys it has.
        items: Items to append. They land with the state, or not at all.
        keep: How many items each log in ``items`` keeps; None: all.
        state_version: The shape version of the new state.
    """

    read: Summary
    state: str
    count: int = 1
    id: str = field(default_factory=new_write_id)
    keys: str | None = None
    keys_read: str | None = None
    items: Sequence[NewItem] = ()
    keep: int | None = None
    state_version: int = 1


@dataclass(frozen=True, slots=True)
class Fork:
    """A copy of a session to make.

    Attributes:
        source: The session to copy.
        key: The key of the copy.
        until: Copy the items up to this position; None: all.
        owner_id: Copy only a session of this owner; None: of any owner. The copy has the same owner as the session.
        version: The first version of the copy.
    """

    source: Key
    key: Key
    until: int | None = None
    owner_id: str | None = None
    version: int = field(default_factory=first_version)


class Document(NamedTuple):
    """A stored session: its state as JSON text and its summary; its journal and items, if the caller asked for them.

    ``state_version`` is the shape version that the state was written under. A state from a program that does not know
    shape versions has 1. ``read_at`` is the time, by the storage's clock, at which a read found the session; None: the
    provider does not report it. Comparisons of documents ignore ``read_at``, because it is not stored.
    """

    state: str
    summary: Summary
    journal: Journal | None = None
    items: Sequence[StoredItem] = ()
    state_version: int = 1
    read_at: datetime | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Document) and self[:-1] == other[:-1]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self[:-1])


class Creation(NamedTuple):
    """The result of a creation: the document in the storage, and whether this call created it."""

    document: Document
    created: bool


class Place(NamedTuple):
    """The place of a session in a listing by recency. Listings in key order go by the key alone."""

    updated_at: datetime
    key: Key


class Page(NamedTuple):
    """One page of a listing.

    ``next`` is the ``after`` of the next call: a Key, or a Place in a listing by recency; None: this is the last page.
    ``states`` holds the states of the sessions as JSON texts, if the caller asked for them, and ``state_versions``
    their shape versions; empty: all are 1.
    """

    sessions: Sequence[Summary]
    next: Key | Place | None
    states: Sequence[str] = ()
    state_versions: Sequence[int] = ()


class Stats(NamedTuple):
    """The number of live sessions in a namespace, and of expired sessions that are not yet deleted."""

    namespace: str
    live: int
    expired: int
    oldest_expiry: datetime | None


class Purge(NamedTuple):
    """The result of a purge.

    ``deleted`` is the number of deleted rows, and ``last`` the latest expiry among them (None: no row was deleted).
    ``left`` is the number of rows that expired before ``last`` and stay, because other transactions hold them. The
    number may be too high, for instance because a row was renewed during the purge, but never too low.
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


def check_use(use: Use) -> None:
    """Checks what a storage is used for.

    Raises:
        ConfigurationError: ``use`` is not one of the values of `Use`.
    """
    if use not in USES:
        raise ConfigurationError(f"use must be one of {', '.join(map(repr, USES))}, not {ascii(use)[:80]}")


Owners: TypeAlias = Sequence[str | None] | None
"""An owner for each key, or None for any owner; None: any owner for all keys."""

Versions: TypeAlias = Sequence[int | None] | None
"""A version for each key, or None for any version; None: any version for all keys."""

Apply: TypeAlias = Callable[[Document], Write | None]
"""Returns the write for the document that was read; None: there is nothing to write."""

Order: TypeAlias = Literal["key", "recent"]
"""The order of a listing: by key, or the most recently updated session first."""

Use: TypeAlias = Literal["service", "reaper", "readonly"]
"""What a storage is used for: all calls; the reaper; calls that only read, such as list() and stats()."""

USES: Final[tuple[Use, ...]] = get_args(Use)
