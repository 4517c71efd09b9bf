"""The synchronous calls that read a session and its items.

Written by `python -m tests.sync`, from `sessionstore/calls/reading.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ...ids import SessionId
from ...session import I, SessionResult, T
from .kind import Kind


class Reading(Kind[T, I]):
    """Reads the sessions of one kind."""

    def get_session(
        self,
        session_id: SessionId,
        *,
        last_items: int = 0,
        ids: Sequence[str] | None = None,
        log: str = "",
        touch: bool = True,
        remember: bool = False,
        owner_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> SessionResult[T, I]:
        """Reads a session: the state, and the newest items if they are asked for, in one round trip.

        Args:
            session_id: The id.
            last_items: How many of the newest items to read, as ``result.items``, oldest first. State and items are
                those of one moment.
            ids: Read the items that have these ids instead, however many; not with ``last_items``. Ids that no item has
                are passed over.
            log: The log whose items are read.
            touch: Whether the read is an access, which moves the expiry. Neither kind of read changes the version. If
                another transaction holds the row, the read is answered at once, and the expiry is moved afterwards.
            remember: Whether the next update of the session begins with this state instead of reading it again, if it
                comes within ``Batching(remember)`` seconds. Useful before an update with ``expected_version``. If
                another process writes in between, the update reads the session anyway.
            owner_id: Only this owner's session is found, and no other is accessed. None: any session.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The session, or an error in the result: SessionNotFoundError (absent or expired), InvalidSessionIdError, or
            CorruptStateError (the stored state or an item does not fit its type; the path of an item begins with its
            position).

        Raises:
            ConfigurationError: An argument is invalid, or ``ids`` is given with ``last_items``.
            StorageError: The storage failed.
        """
        return self._run(
            self.asynchronous.get_session(
                session_id,
                last_items=last_items,
                ids=ids,
                log=log,
                touch=touch,
                remember=remember,
                owner_id=owner_id,
                timeout=timeout,
            )
        )

    def get_items(
        self,
        session_id: SessionId,
        *,
        last: int | None = None,
        after: int | None = None,
        before: int | None = None,
        ids: Sequence[str] | None = None,
        log: str = "",
        limit: int = 100,
        touch: bool = True,
        owner_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> SessionResult[None, I]:
        """Reads items of one log of a session by position, or by id; oldest first.

        Without ``last``, ``before`` and ``ids``, reads the first ``limit`` items behind ``after``. To read a log page
        by page, pass the position of the last item of a page as ``after``, or of the first item as ``before``.

        Args:
            session_id: The id.
            last: Read this many of the newest items, behind ``after`` and before ``before`` if they are given.
            after: Read only items behind this position; None: from the first item.
            before: Read only items before this position, and of these the newest; the oldest if ``after`` is given too.
            ids: Read the items that have these ids, however many; with none of the arguments above. Ids that no item
                has are passed over.
            log: The name of the log.
            limit: The largest number of items, except with ``last`` and ``ids``.
            touch: Whether the read is an access.
            owner_id: Only this owner's session is found, and no other is accessed. None: any session.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            ``result.items``, empty if no item is asked for, and the facts about the session; ``data`` is None. Or an
            error in the result: SessionNotFoundError (absent or expired), InvalidSessionIdError, or CorruptStateError
            (an item does not fit the item type; the path begins with its position).

        Raises:
            ConfigurationError: An argument is invalid, or ``ids`` is given with a position.
            StorageError: The storage failed.
        """
        return self._run(
            self.asynchronous.get_items(
                session_id,
                last=last,
                after=after,
                before=before,
                ids=ids,
                log=log,
                limit=limit,
                touch=touch,
                owner_id=owner_id,
                timeout=timeout,
            )
        )

    def list_logs(
        self, session_id: SessionId, *, owner_id: str | None = None, timeout: timedelta | None = None
    ) -> SessionResult[tuple[str, ...], I]:
        """Lists the names of a session's logs that have items, in ``data``, ordered by code point. This is no access.

        The cost depends on the number of logs, and not on the number of items. The log without a name is "".

        Args:
            session_id: The id.
            owner_id: Only this owner's session is found. None: any session.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The names, or an error in the result: SessionNotFoundError (absent or expired) or InvalidSessionIdError.

        Raises:
            ConfigurationError: ``owner_id`` or ``timeout`` is invalid.
            StorageError: The storage failed.
        """
        return self._run(self.asynchronous.list_logs(session_id, owner_id=owner_id, timeout=timeout))

    def find_item(
        self, item_id: str, *, owner_id: str | None = None, timeout: timedelta | None = None
    ) -> SessionResult[None, I]:
        """Finds the item that has an id, in any session and log of this namespace. This is no access.

        Args:
            item_id: The id that the item was appended with.
            owner_id: Only sessions of this owner. None: all sessions.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The item, as the only one of ``result.items``, and the id and the facts of its session; ``data`` is None. If
            several sessions have such an item, as forks do, the item of the session that was created first. Or an error
            in the result: ItemNotFoundError (no live session has such an item), or CorruptStateError (the item does not
            fit the item type).

        Raises:
            ConfigurationError: ``item_id``, ``owner_id`` or ``timeout`` is invalid.
            StorageError: The storage failed.
        """
        return self._run(self.asynchronous.find_item(item_id, owner_id=owner_id, timeout=timeout))
