"""What callers get back: a session's state, the facts about it, and how a call ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel, JsonValue

from .errors import SessionStoreError
from .ids import SessionId

T = TypeVar("T")


class SessionState(BaseModel):
    """A base for typed states that carry the id of their session. States need not derive from it."""

    session_id: SessionId


@dataclass(frozen=True, slots=True)
class SessionMetadata:
    """The facts about a session, beside its state. All times are aware, in UTC, by the storage's clock.

    Attributes:
        created_at: When this session was created. A session that replaces an expired one starts anew.
        updated_at: When its state was last written.
        last_accessed_at: When it was last read or written. A read that does not have to move the expiry
            writes nothing, so what a later look finds may lag by a tenth of the TTL.
        expires_at: From when on it is gone. None: never.
        ttl: How long it lives after an access. None: it does not expire by inactivity.
        origin: Where it came from, as given at creation.
        owner_id: Whose it is, as given at creation.
    """

    created_at: datetime
    updated_at: datetime
    last_accessed_at: datetime
    expires_at: datetime | None
    ttl: timedelta | None
    origin: dict[str, JsonValue] | None = None
    owner_id: str | None = None


@dataclass(frozen=True)  # without slots, which Python 3.11 cannot have together with SessionResult[Chat](...)
class SessionResult(Generic[T]):
    """How a call on one session ended.

    A result speaks of the session: found or not, in conflict, refused. A storage that could not be asked is
    raised instead, so that an outage never reads as a session that does not exist.

    Attributes:
        session_id: The session, also where the id was made by the call.
        success: Whether the call did what it says; the opposite of having an ``error``.
        data: The state, the caller's own copy; for a deletion, whether a live session was deleted.
        error: Why not, where ``success`` is false.
        created: Whether this very call created the session.
        applied: Whether this very call changed the state: False also where an update's idempotency key had been seen.
        version: The version of the session after the call.
        metadata: The facts about the session after the call. In one case the times are later ones: the answer to an
            update was lost, and others wrote before it was found to have landed. Then ``updated_at``,
            ``last_accessed_at`` and ``expires_at`` are those that were found, and all else is as that update left it.
    """

    session_id: SessionId
    success: bool
    data: T | None = None
    error: SessionStoreError | None = None
    created: bool = False
    applied: bool = False
    version: int | None = None
    metadata: SessionMetadata | None = None

    def unwrap(self) -> T:
        """Returns the data of a success, or raises the error of a failure."""
        if self.error is not None:
            raise self.error
        # A success carries its data; T itself may include None, which is why this is no check against None.
        return self.data  # type: ignore[return-value]  # pyright: ignore[reportReturnType]
