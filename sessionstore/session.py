"""SessionResult, Item, SessionPage and their parts: the types that callers get back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic

from pydantic import BaseModel, JsonValue
from typing_extensions import TypeVar

from .errors import SessionStoreError
from .ids import SessionId

T = TypeVar("T")
I = TypeVar("I", default=JsonValue)  # noqa: E741  # as in SessionManager[T, I]


class SessionState(BaseModel):
    """A base for typed states that carry the id of their session. States need not derive from it."""

    session_id: SessionId


# These classes have an __init__ of their own, because each call makes several such objects. The __init__ that Python
# makes for a frozen dataclass took a fifth of the processor time of an append in a batch.
@dataclass(frozen=True, init=False)
class SessionMetadata:
    """The facts about a session, beside its state. All times are aware, in UTC, by the storage's clock.

    Attributes:
        created_at: When the session was created. A session that replaces an expired one has a new time.
        updated_at: When the state or the items were last written.
        last_accessed_at: When the session was last read or written. It may lag by a tenth of the TTL, because a read
            writes only if it has to move the expiry.
        expires_at: When the session expires; None: never.
        ttl: How long the session lives after an access; None: it does not expire by inactivity.
        origin: Where the session came from, as given at creation.
        owner_id: The owner, as given at creation.
    """

    created_at: datetime
    updated_at: datetime
    last_accessed_at: datetime
    expires_at: datetime | None
    ttl: timedelta | None
    origin: dict[str, JsonValue] | None = None
    owner_id: str | None = None

    def __init__(
        self,
        created_at: datetime,
        updated_at: datetime,
        last_accessed_at: datetime,
        expires_at: datetime | None,
        ttl: timedelta | None,
        origin: dict[str, JsonValue] | None = None,
        owner_id: str | None = None,
    ) -> None:
        fields = self.__dict__
        fields["created_at"] = created_at
        fields["updated_at"] = updated_at
        fields["last_accessed_at"] = last_accessed_at
        fields["expires_at"] = expires_at
        fields["ttl"] = ttl
        fields["origin"] = origin
        fields["owner_id"] = owner_id


# Generic classes have no slots: with slots, Python 3.11 cannot make a SessionResult[Chat](...).
@dataclass(frozen=True, init=False)
class Item(Generic[I]):
    """An item of a session.

    Attributes:
        position: The place of the item in the session. Positions of all logs of a session are counted together. They
            start at 1, grow, and never come back.
        data: A copy of the item, which the caller may change.
        created_at: When the item was appended. Aware, in UTC, by the storage's clock.
    """

    position: int
    data: I
    created_at: datetime

    def __init__(self, position: int, data: I, created_at: datetime) -> None:
        fields = self.__dict__
        fields["position"] = position
        fields["data"] = data
        fields["created_at"] = created_at


@dataclass(frozen=True, init=False)
class SessionResult(Generic[T, I]):
    """How a call on one session ended.

    A result is about the session: found or absent, in conflict, refused. A fault of the storage is raised instead, so
    that an outage never reads as a session that does not exist.

    Attributes:
        session_id: The id of the session, also if the call made the id.
        success: Whether the call succeeded. Exactly then ``error`` is None.
        data: A copy of the state, which the caller may change; for a deletion, whether a live session was deleted; for
            a trim, the number of removed items; for list_logs(), the names of the logs. Other calls on items have None.
        error: Why the call did not succeed; None: the call succeeded.
        created: Whether this call created the session.
        applied: Whether this call changed the state or the items. False for an update or an append whose idempotency
            key the session had seen, and for an append if the session had all its ids.
        version: The version of the session after the call.
        metadata: The facts about the session after the call. If the answer to an update was lost, and other callers
            wrote before the library found that the update had landed, then ``updated_at``, ``last_accessed_at`` and
            ``expires_at`` may be those of the later writes.
        items: The items that the call read, appended or removed, oldest first.
        last_position: The position of the item that was appended last, also if it was removed since; 0: no item was
            appended.
        item_count: The number of items in all logs of the session.
        read_at: When get_session() read the session, by the storage's clock. ``metadata.expires_at - read_at`` is how
            long the session had left to live, whatever the clock of this machine says. None for other calls.
    """

    session_id: SessionId
    success: bool
    data: T | None = None
    error: SessionStoreError | None = None
    created: bool = False
    applied: bool = False
    version: int | None = None
    metadata: SessionMetadata | None = None
    items: tuple[Item[I], ...] = ()
    last_position: int | None = None
    item_count: int | None = None
    read_at: datetime | None = field(default=None, compare=False)

    def __init__(
        self,
        session_id: SessionId,
        success: bool,
        data: T | None = None,
        error: SessionStoreError | None = None,
        created: bool = False,
        applied: bool = False,
        version: int | None = None,
        metadata: SessionMetadata | None = None,
        items: tuple[Item[I], ...] = (),
        last_position: int | None = None,
        item_count: int | None = None,
        read_at: datetime | None = None,
    ) -> None:
        fields = self.__dict__
        fields["session_id"] = session_id
        fields["success"] = success
        fields["data"] = data
        fields["error"] = error
        fields["created"] = created
        fields["applied"] = applied
        fields["version"] = version
        fields["metadata"] = metadata
        fields["items"] = items
        fields["last_position"] = last_position
        fields["item_count"] = item_count
        fields["read_at"] = read_at

    def unwrap(self) -> T:
        """Returns the data of a success, or raises the error of a failure."""
        if self.error is not None:
            raise self.error
        # The data may be None, because T may include None.
        return self.data  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


@dataclass(frozen=True)
class SessionInfo(Generic[T]):
    """A session in a listing.

    Attributes:
        session_id: The id of the session.
        version: The version of the session.
        item_count: The number of items in all logs of the session.
        metadata: The facts about the session.
        state: A copy of the state, if the caller asked for states.
        error: Why the state or the origin cannot be read; None: both can be read. The listing goes on.
    """

    session_id: SessionId
    version: int
    item_count: int
    metadata: SessionMetadata
    state: T | None = None
    error: SessionStoreError | None = None


@dataclass(frozen=True)
class SessionPage(Generic[T]):
    """One page of a listing.

    Attributes:
        sessions: The sessions, in the order that was asked for.
        next: The ``after`` of the call for the next page; None: this is the last page.
    """

    sessions: tuple[SessionInfo[T], ...]
    next: str | None = None
