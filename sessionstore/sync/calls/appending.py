"""The synchronous call that appends items.

Written by `python -m tests.sync`, from `sessionstore/calls/appending.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ...ids import SessionId
from ...session import I, SessionResult, T
from .creating import Creating


class Appending(Creating[T, I]):
    """Appends items to the sessions of one kind."""

    def append_items(
        self,
        session_id: SessionId,
        items: Sequence[I],
        *,
        ids: Sequence[str | None] | None = None,
        log: str = "",
        create: bool = False,
        owner_id: str | None = None,
        expected_position: int | None = None,
        idempotency_key: str | None = None,
        timeout: timedelta | None = None,
    ) -> SessionResult[None, I]:
        """Appends items to a session, all or none, next to each other.

        An append needs no read and conflicts with nobody: appends and updates of many callers land one after the other.
        An append is an access, and does not change the version.

        If the connection is lost during the write, the call looks on another connection whether the append landed, and
        appends again if it did not. Items are never appended twice.

        Args:
            session_id: The id.
            items: The items, in order. Without items, the call is an access and nothing else.
            ids: The caller's own ids of the items: one for each item or None, or None for all. An item whose id the
                session has already, in any log, is passed over and takes no position. The rule for ids applies.
            log: The name of the log. A session may have several, say of subagents or branches. The positions of all
                logs are counted together.
            create: Whether an absent session is created, with the default state and the items, in the same statement.
                ``default_state`` is called first, also if the session turns out to exist.
            owner_id: Only this owner's session is found, and no other is accessed. None: any session. A session that
                is created belongs to this owner.
            expected_position: Append only if this is the position of the item that was appended last, in any log; 0
                if none was.
            idempotency_key: Identifies this append within the session, as in update_session(). If an append or update
                with the key has landed, nothing is appended, and the result has ``applied`` False.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The new items, without those that were passed over, and the facts about the session; ``data`` is None. Or
            an error in the result: SessionNotFoundError, SessionConflictError (only with ``expected_position``),
            InvalidSessionIdError, InvalidStateError (an item, with its index; or with ``create`` the default state), or
            CorruptStateError (the stored origin; the items were appended).

        Raises:
            ConfigurationError: An argument is invalid.
            Exception: What ``default_state`` raises, unchanged; nothing was written.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether the items were appended.
        """
        return self._run(
            self.asynchronous.append_items(
                session_id,
                items,
                ids=ids,
                log=log,
                create=create,
                owner_id=owner_id,
                expected_position=expected_position,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )
