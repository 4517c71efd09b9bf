"""The calls of SessionManager that delete sessions."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import Any

from .. import arguments, results
from ..errors import ConfigurationError, InvalidSessionIdError, SessionConflictError
from ..ids import SessionId
from ..session import I, SessionResult, T
from ..timeouts import in_time, time_left
from .kind import Kind


class Erasure(Kind[T, I]):
    """Deletes the sessions of one kind."""

    async def delete_session(
        self,
        session_id: SessionId,
        *,
        expected_version: int | None = None,
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109  # as in all calls, see concurrency/deadline.py
    ) -> SessionResult[bool]:
        """Deletes a session with its items; ``data`` is whether a live session was deleted.

        Deleting an absent session is a success.

        If the connection is lost during the deletion, the call looks on another connection whether it deleted the
        session, and deletes it if it did not.

        Args:
            session_id: The id.
            expected_version: Delete only if the session is at this version. A version from before the session expired
                or was deleted never matches a later session of the same id.
            owner_id: Only this owner's session is found. None: any session.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            Whether a live session was deleted, or an error in the result: InvalidSessionIdError, or
            SessionConflictError (only with ``expected_version``; the session is at another version, and stays).

        Raises:
            ConfigurationError: ``expected_version``, ``owner_id`` or ``timeout`` is invalid.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether the session is deleted.
        """
        arguments.check_expected_version(expected_version)
        owner = arguments.owner_filter(owner_id)
        version: dict[str, Any] = {} if expected_version is None else {"version": expected_version}
        began = monotonic()
        try:
            key = self._key(session_id)
        except InvalidSessionIdError as error:
            return results.failure(session_id, error)
        deleted = await in_time(timeout, self._storage.delete(key, **owner, **version), writing=True)
        if not deleted and expected_version is not None:
            looking = self._storage.get(key, touch=False, **owner)
            found = await in_time(time_left(timeout, began), looking, writing=False)
            if found is not None:
                actual = found.summary.version
                conflict = SessionConflictError(
                    key.session_id, expected=expected_version, actual=actual, rewritten=actual == expected_version
                )
                return results.failure(session_id, conflict)
        return SessionResult(key.session_id, success=True, data=deleted)

    async def delete_sessions(
        self,
        *,
        owner_id: str | None = None,
        prefix: str = "",
        timeout: timedelta | None = None,  # noqa: ASYNC109
    ) -> int:
        """Deletes all sessions of this namespace that match, and returns how many of them were live.

        The deletion runs in batches and is no transaction. A session that is created meanwhile may stay. After an error
        some sessions may be deleted; call again then.

        Args:
            owner_id: Only sessions of this owner.
            prefix: Only sessions whose id starts with exactly this.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Raises:
            ConfigurationError: Neither ``owner_id`` nor ``prefix`` is given, which would delete everything, or an
                argument is invalid.
            StorageError: The storage failed; some sessions may be deleted.
        """
        owner = arguments.owner_filter(owner_id)
        arguments.check_prefix(prefix)
        if not owner and not prefix:
            raise ConfigurationError(
                "delete_sessions() needs an owner_id or a prefix; without one it would delete all sessions of the "
                "namespace; to do so, call clear() of the storage"
            )
        clearing = self._storage.clear(self._namespace, prefix=prefix, **owner)
        return await in_time(timeout, clearing, writing=True)
