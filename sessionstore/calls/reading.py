"""The calls of SessionManager that read a session and its items."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from .. import arguments, results
from ..errors import ConfigurationError, InvalidSessionIdError, ItemNotFoundError, SessionNotFoundError
from ..ids import SessionId
from ..session import I, SessionResult, T
from ..storage import Window
from ..timeouts import in_time
from .kind import Kind


class Reading(Kind[T, I]):
    """Reads the sessions of one kind."""

    async def get_session(
        self,
        session_id: SessionId,
        *,
        last_items: int = 0,
        ids: Sequence[str] | None = None,
        log: str = "",
        touch: bool = True,
        remember: bool = False,
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109  # as in all calls, see concurrency/deadline.py
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
        wanted = arguments.owner_filter(owner_id)
        newest, name = arguments.count(last_items, "last_items"), arguments.log_name(log)
        arguments.check_flag(touch, "touch")
        if ids is not None:
            if newest:
                raise ConfigurationError("get_session() takes ids or last_items, not both")
            chosen = arguments.wanted_ids(ids)
            wanted["window"] = Window(name, max(len(chosen), 1), ids=chosen)
        elif newest:
            wanted["window"] = Window(name, newest)
        try:
            key = self._key(session_id)
        except InvalidSessionIdError as error:
            return results.failure(session_id, error)
        document = await in_time(timeout, self._storage.get(key, touch=touch, **wanted), writing=False)
        if document is None:
            return results.failure(key.session_id, SessionNotFoundError(key.session_id))
        if remember:
            self._updates.remember(document)
        return results.read(
            document.summary,
            lambda: (self._state(document), self._items(document.items, key.session_id)),
            read_at=document.read_at,
        )

    async def get_items(
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
        timeout: timedelta | None = None,  # noqa: ASYNC109
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
        window = _window(last, after, before, ids, log, limit)
        arguments.check_flag(touch, "touch")
        owner = arguments.owner_filter(owner_id)
        try:
            key = self._key(session_id)
        except InvalidSessionIdError as error:
            return results.failure(session_id, error)
        reading = self._storage.get(key, touch=touch, window=window, **owner)
        document = await in_time(timeout, reading, writing=False)
        if document is None:
            return results.failure(key.session_id, SessionNotFoundError(key.session_id))
        return self._of_items(document.summary, document.items)

    async def list_logs(
        self,
        session_id: SessionId,
        *,
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
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
        owner = arguments.owner_filter(owner_id)
        try:
            key = self._key(session_id)
        except InvalidSessionIdError as error:
            return results.failure(session_id, error)
        found = await in_time(timeout, self._storage.list_logs(key, **owner), writing=False)
        if found is None:
            return results.failure(key.session_id, SessionNotFoundError(key.session_id))
        names = tuple(found.names)
        return results.read(found.summary, lambda: (names, ()))

    async def find_item(
        self,
        item_id: str,
        *,
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
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
        name = arguments.item_id(item_id, "the item_id")
        owner: dict[str, Any] = arguments.owner_filter(owner_id)
        looking = self._storage.find_many(self._namespace, [name], **owner)
        (found,) = await in_time(timeout, looking, writing=False)
        if found is None:
            return results.failure("", ItemNotFoundError(item_id=name))
        return self._of_items(found.summary, [found.item])


def _window(
    last: int | None, after: int | None, before: int | None, ids: Sequence[str] | None, log: str, limit: int
) -> Window:
    name, most = arguments.log_name(log), arguments.count(limit, "limit", least=1)
    behind = arguments.position_or_none(after, "after")
    until = arguments.position_or_none(before, "before")
    newest = None if last is None else arguments.count(last, "last")
    if ids is not None:
        if (newest, behind, until) != (None, None, None):
            raise ConfigurationError("get_items() takes ids, or positions (last, after, before), not both")
        wanted = arguments.wanted_ids(ids)
        return Window(name, max(len(wanted), 1), ids=wanted, state=False)
    if newest is not None:
        return Window(name, newest, after=behind, before=until, state=False)
    newer = until is not None and behind is None
    return Window(name, most, newest=newer, after=behind, before=until, state=False)
