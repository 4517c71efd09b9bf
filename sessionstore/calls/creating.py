"""The calls of SessionManager that create sessions: new ones, and copies of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import EllipsisType

from pydantic import JsonValue

from .. import arguments, config, results
from ..errors import (
    InvalidSessionIdError,
    InvalidStateError,
    SessionConflictError,
    SessionNotFoundError,
    SessionOwnerError,
)
from ..ids import SessionId, check_session_id, new_session_id
from ..session import I, SessionResult, T
from ..storage import Creation, Fork, owned
from ..timeouts import in_time
from .kind import Given, Kind


class Creating(Kind[T, I]):
    """Creates the sessions of one kind."""

    async def create_session(
        self,
        session_id: SessionId | None = None,
        *,
        items: Sequence[I] = (),
        ids: Sequence[str | None] | None = None,
        log: str = "",
        origin: Mapping[str, JsonValue] | None = None,
        owner_id: str | None = None,
        ttl: timedelta | None | EllipsisType = ...,
        timeout: timedelta | None = None,  # noqa: ASYNC109  # as in all calls, see concurrency/deadline.py
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
        own_ttl = self._ttl if isinstance(ttl, EllipsisType) else config.check_duration(ttl, "ttl")
        try:
            name = new_session_id() if session_id is None else check_session_id(session_id)
            given = self._given(items, ids, log, name)
        except (InvalidSessionIdError, InvalidStateError) as error:
            return results.failure(session_id, error)
        state = self._default_state(name)
        try:
            draft = self._draft(name, state, ttl=own_ttl, origin=origin, owner_id=owner_id, items=given.texts)
        except InvalidStateError as error:
            return results.failure(name, error)
        creation = await in_time(timeout, self._storage.create(draft), writing=True)
        if not creation.created and owned(creation.document, draft.owner_id) is None:
            return results.failure(name, SessionOwnerError(name))
        return self._created(creation, given)

    def _created(self, creation: Creation, given: Given[I]) -> SessionResult[T, I]:
        """Returns the result of a call that created or found a session."""
        document = creation.document
        summary = document.summary
        items = given.at(summary.appended, summary.created_at) if creation.created else ()
        return results.read(
            summary,
            lambda: (self._state(document), items),
            created=creation.created,
        )

    async def fork_session(
        self,
        session_id: SessionId,
        new_id: SessionId | None = None,
        *,
        until: int | None = None,
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
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
        last = arguments.position_or_none(until, "until")
        owner = arguments.owner_filter(owner_id)
        try:
            source = self._key(session_id)
        except InvalidSessionIdError as error:
            return results.failure(session_id, error)
        try:
            key = self._key(new_session_id() if new_id is None else new_id)
        except InvalidSessionIdError as error:
            return results.failure(new_id, error)
        fork = Fork(source, key, until=last, **owner)
        creation = await in_time(timeout, self._storage.fork(fork), writing=True)
        if creation is None:
            return results.failure(source.session_id, SessionNotFoundError(source.session_id))
        if not creation.created:
            if owned(creation.document, fork.owner_id) is None:
                return results.failure(key.session_id, SessionOwnerError(key.session_id))
            actual = creation.document.summary.version
            taken = SessionConflictError(key.session_id, expected=0, actual=actual, of="absence")
            return results.failure(key.session_id, taken)
        return self._created(creation, Given((), ()))
