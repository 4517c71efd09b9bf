"""SessionResult, SessionMetadata and SessionState: the types that callers get back."""

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
        created_at: When the session was created. A session that replaces an expired one has a new time.
        updated_at: When the state was last written.
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


@dataclass(frozen=True)  # no slots: with them, Python 3.11 cannot make a SessionResult[Chat](...)
class SessionResult(Generic[T]):
    """How a call on one session ended.

    A result is about the session: found or absent, in conflict, refused. A fault of the storage is raised instead, so
    that an outage never reads as a session that does not exist.

    Attributes:
        session_id: The id of the session, also if the call made it.
        success: Whether the call succeeded. Exactly then ``error`` is None.
        data: A copy of the state, which the caller may change; for a deletion, whether a live session was deleted.
        error: Why the call did not succeed; None: it did.
        created: Whether this call created the session.
        applied: Whether this call changed the state. False for an update whose idempotency key the session had seen.
        version: The version of the session after the call.
        metadata: The facts about the session after the call. If the answer to an update was lost, and other callers
            wrote before the library found that the update had landed, then ``updated_at``, ``last_accessed_at`` and
            ``expires_at`` may be those of the later writes.
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
        # Not checked against None: T itself may include None.
        return self.data  # type: ignore[return-value]  # pyright: ignore[reportReturnType]
