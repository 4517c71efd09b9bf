"""The synchronous calls that remove and replace items.

Written by `python -m tests.sync`, from `sessionstore/calls/editing.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from ...ids import SessionId
from ...session import I, SessionResult, T
from .kind import Kind


class Editing(Kind[T, I]):
    """Removes and replaces items of the sessions of one kind.

    Edits of a session are done one after the other, under an exclusive lock. Each edit is an access. It does not change
    the version, and positions that were taken do not come back. If the connection is lost during an edit, the call
    looks on another connection whether the edit landed, as append_items() does.
    """

    def pop_items(
        self,
        session_id: SessionId,
        count: int = 1,
        *,
        log: str = "",
        owner_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> SessionResult[None, I]:
        """Removes the newest items of a log. ``result.items`` has the removed items, oldest first.

        Of several callers at once, each gets different items. If there are fewer items, all of them are removed.

        Args:
            session_id: The id.
            count: How many items to remove.
            log: The name of the log.
            owner_id: Only this owner's session is found, and no other is accessed. None: any session.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The removed items, or an error in the result: SessionNotFoundError (absent or expired),
            InvalidSessionIdError, or CorruptStateError: an item does not fit the item type; it was removed too, and
            ``result.items`` has the others. If newer code wrote an item, under a later ``item_version``, nothing was
            removed.

        Raises:
            ConfigurationError: An argument is invalid.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether items were removed.
        """
        return self._run(self.asynchronous.pop_items(session_id, count, log=log, owner_id=owner_id, timeout=timeout))

    def replace_items(
        self,
        session_id: SessionId,
        items: Sequence[I],
        *,
        after: int = 0,
        ids: Sequence[str | None] | None = None,
        log: str = "",
        owner_id: str | None = None,
        expected_position: int | None = None,
        unchanged_since: SessionResult[Any, Any] | None = None,
        timeout: timedelta | None = None,
    ) -> SessionResult[None, I]:
        """Replaces all items of a log behind a position by other items, all or nothing.

        The new items get new positions. To clear a log, pass no items. A manager with ``keep_items`` also
        removes the oldest items beyond that number from the log, as an append does.

        Args:
            session_id: The id.
            items: The new items, in order.
            after: The items behind this position are replaced; 0: all.
            ids: The ids of the new items, as in append_items(). They may be those of items that are replaced.
            log: The name of the log. Items of other logs stay.
            owner_id: Only this owner's session is found, and no other is accessed. None: any session.
            expected_position: Replace only if this is the position of the item that was appended last, in any log.
            unchanged_since: Replace only if no item of any log was added or removed since this result, say of
                get_items(), and the session is still the same one. An item that replace_item() replaced does not count.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The new items, without those that were passed over because an item that stays has their id. Or an error in
            the result: SessionNotFoundError, SessionConflictError (only with ``expected_position`` or
            ``unchanged_since``), InvalidSessionIdError, or InvalidStateError (an item; with its index).

        Raises:
            ConfigurationError: An argument is invalid.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether items were replaced.
        """
        return self._run(
            self.asynchronous.replace_items(
                session_id,
                items,
                after=after,
                ids=ids,
                log=log,
                owner_id=owner_id,
                expected_position=expected_position,
                unchanged_since=unchanged_since,
                timeout=timeout,
            )
        )

    def replace_item(
        self,
        session_id: SessionId,
        position: int,
        item: I,
        *,
        log: str = "",
        owner_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> SessionResult[None, I]:
        """Replaces one item by another, say a redacted one. Position, id and ``created_at`` stay.

        Args:
            session_id: The id.
            position: The position of the item to replace.
            item: The new item.
            log: The name of the log.
            owner_id: Only this owner's session is found, and no other is accessed. None: any session.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The new item, as the only one of ``result.items``; none if another caller has removed the item since, or if
            the storage failed after the item was replaced. Or an error in the result: ItemNotFoundError (the log has no
            item at the position, or had one that was removed), SessionNotFoundError (absent or expired),
            InvalidSessionIdError, or InvalidStateError (the item).

        Raises:
            ConfigurationError: An argument is invalid.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether the item was replaced.
        """
        return self._run(
            self.asynchronous.replace_item(session_id, position, item, log=log, owner_id=owner_id, timeout=timeout)
        )

    def trim_items(
        self,
        session_id: SessionId,
        keep: int,
        *,
        log: str = "",
        owner_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> SessionResult[int, I]:
        """Removes all items of a log except the newest. ``data`` is the number of removed items.

        Args:
            session_id: The id.
            keep: How many items stay; 0: none.
            log: The name of the log.
            owner_id: Only this owner's session is found, and no other is accessed. None: any session.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The number of removed items, or an error in the result: SessionNotFoundError (absent or expired) or
            InvalidSessionIdError.

        Raises:
            ConfigurationError: An argument is invalid.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether items were removed.
        """
        return self._run(self.asynchronous.trim_items(session_id, keep, log=log, owner_id=owner_id, timeout=timeout))
