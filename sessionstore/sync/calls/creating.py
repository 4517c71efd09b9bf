"""The synchronous calls that create sessions.

Written by `python -m tests.sync`, from `sessionstore/calls/creating.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import EllipsisType

from pydantic import JsonValue

from ...ids import SessionId
from ...session import I, SessionResult, T
from .kind import Kind


class Creating(Kind[T, I]):
    """Creates the sessions of one kind."""

    def create_session(
        self,
        session_id: SessionId | None = None,
        *,
        items: Sequence[I] = (),
        ids: Sequence[str | None] | None = None,
        log: str = "",
        origin: Mapping[str, JsonValue] | None = None,
        owner_id: str | None = None,
        ttl: timedelta | None | EllipsisType = ...,
        timeout: timedelta | None = None,
    ) -> SessionResult[T, I]:
        """Creates a session, or finds the live session that has this id; ``result.created`` says which.

        A new session replaces an expired one of the same id. If several callers race, exactly one creates the session
        and the others find it. Finding a session is an access; its origin, owner, TTL and items stay as they are.

        If the connection is lost during the write, the call looks on another connection whether it created the
        session, and creates it if it did not.

        Args:
            session_id: The id; None: a new one from the operating system's random source.
            items: The first items of the session. They are appended only if this call creates the session; then
                ``result.items`` has them.
            ids: The ids of the items, as in append_items().
            log: The log that the items are appended to.
            origin: Where the session comes from: a JSON object.
            owner_id: The owner. The rule for ids applies. If ids come from outside, pass the owner to the other calls
                too: an id does not prove who is asking.
            ttl: This session's own time to live, kept with the session. ``...``: the manager's.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The session, or an error in the result: InvalidSessionIdError, InvalidStateError (state, items, origin or
            owner), or SessionOwnerError. The last one comes only with ``owner_id``, if a live session with another
            owner or without an owner has this id. Nothing of that session is shown, and it was not accessed.

        Raises:
            ConfigurationError: An argument is invalid.
            Exception: What ``default_state`` raises, unchanged; nothing was written.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether the session exists.
        """
        return self._run(
            self.asynchronous.create_session(
                session_id, items=items, ids=ids, log=log, origin=origin, owner_id=owner_id, ttl=ttl, timeout=timeout
            )
        )

    def fork_session(
        self,
        session_id: SessionId,
        new_id: SessionId | None = None,
        *,
        until: int | None = None,
        owner_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> SessionResult[T, I]:
        """Copies a session with its items to a new session. The storage makes the copy, as of one moment.

        The copy has the state, TTL, origin and owner of the session, and its items of all logs with their positions,
        ids and times. From then on the two sessions are independent. The session itself is not accessed.

        Args:
            session_id: The id of the session to copy.
            new_id: The id of the copy; None: a new one from the operating system's random source.
            until: Copy the items up to this position; None: all. The next item of the copy gets the position after it.
            owner_id: Only this owner's session is found. None: any session.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The copy, or an error in the result. SessionNotFoundError: the session to copy is absent, expired, or
            another owner's. SessionConflictError: a live session has the id of the copy; with ``owner_id``, if that
            session belongs to another owner or to none, SessionOwnerError, which shows nothing of it.
            InvalidSessionIdError. CorruptStateError: the copy was made, and its state does not fit the state type.

        Raises:
            ConfigurationError: ``until``, ``owner_id`` or ``timeout`` is invalid.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether the copy exists.
        """
        return self._run(
            self.asynchronous.fork_session(session_id, new_id, until=until, owner_id=owner_id, timeout=timeout)
        )
