"""The synchronous calls that delete sessions.

Written by `python -m tests.sync`, from `sessionstore/calls/erasure.py`.
"""

from __future__ import annotations

from datetime import timedelta

from ...ids import SessionId
from ...session import I, SessionResult, T
from .kind import Kind


class Erasure(Kind[T, I]):
    """Deletes the sessions of one kind."""

    def delete_session(
        self,
        session_id: SessionId,
        *,
        expected_version: int | None = None,
        owner_id: str | None = None,
        timeout: timedelta | None = None,
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
        return self._run(
            self.asynchronous.delete_session(
                session_id, expected_version=expected_version, owner_id=owner_id, timeout=timeout
            )
        )

    def delete_sessions(
        self, *, owner_id: str | None = None, prefix: str = "", timeout: timedelta | None = None
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
        return self._run(self.asynchronous.delete_sessions(owner_id=owner_id, prefix=prefix, timeout=timeout))
