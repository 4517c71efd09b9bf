"""The calls of SessionManager that remove and replace items."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any

from .. import arguments, results
from ..codec.jsontext import named
from ..errors import (
    ConfigurationError,
    CorruptStateError,
    InvalidSessionIdError,
    InvalidStateError,
    ItemNotFoundError,
    SessionConflictError,
    SessionNotFoundError,
    SessionStoreError,
)
from ..ids import SessionId
from ..session import I, Item, SessionResult, T
from ..storage import Edit, Edited, SeenItems, Window
from ..timeouts import in_time, time_left
from .kind import Kind


class Editing(Kind[T, I]):
    """Removes and replaces items of the sessions of one kind.

    Edits of a session are done one after the other, under an exclusive lock. Each edit is an access. It does not change
    the version, and positions that were taken do not come back. If the connection is lost during an edit, the call
    looks on another connection whether the edit landed, as append_items() does.
    """

    async def pop_items(
        self,
        session_id: SessionId,
        count: int = 1,
        *,
        log: str = "",
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109  # as in all calls, see concurrency/deadline.py
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
        number, name = arguments.count(count, "count"), arguments.log_name(log)
        owner = arguments.owner_filter(owner_id)
        try:
            edit = Edit(self._key(session_id), name, newest=number, **owner, known=self._item_codec.version)
            edited = await self._edit(edit, timeout)
        except (InvalidSessionIdError, SessionNotFoundError) as error:
            return results.failure(session_id, error)
        summary, name = edited.summary, edited.summary.key.session_id
        readable: list[Item[I]] = []
        first: CorruptStateError | None = None
        for stored in edited.removed:
            try:
                readable += self._items([stored], name)
            except CorruptStateError as error:
                first = first or error
        if first is not None:
            return results.corrupt(summary, first, tuple(readable))
        return results.read(summary, lambda: (None, tuple(readable)))

    async def replace_items(
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
        timeout: timedelta | None = None,  # noqa: ASYNC109
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
        behind = arguments.position(after, "after")
        expected = arguments.position_or_none(expected_position, "expected_position")
        seen = _seen(unchanged_since)
        owner = arguments.owner_filter(owner_id)
        try:
            key = self._key(session_id)
            given = self._given(items, ids, log, key.session_id)
            edit = Edit(
                key,
                arguments.log_name(log),
                after=behind,
                keep=self._keep_items,
                items=given.texts,
                **owner,
                expected_position=expected,
                seen=seen,
            )
            edited = await self._edit(edit, timeout)
        except (InvalidSessionIdError, InvalidStateError, SessionNotFoundError, SessionConflictError) as error:
            return results.failure(session_id, error)
        summary = edited.summary
        return results.read(summary, lambda: (None, given.at(summary.appended, summary.updated_at)))

    async def replace_item(
        self,
        session_id: SessionId,
        position: int,
        item: I,
        *,
        log: str = "",
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
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
        at, name = arguments.position(position, "position"), arguments.log_name(log)
        owner = arguments.owner_filter(owner_id)
        began = monotonic()
        try:
            key = self._key(session_id)
            text, copy = self._item_codec.encode_with_copy(item, 0, key.session_id)
            edited = await self._edit(
                Edit(key, name, put=(at, text), **owner, put_version=self._item_codec.version), timeout
            )
        except (InvalidSessionIdError, InvalidStateError, SessionNotFoundError) as error:
            return results.failure(session_id, error)
        if not edited.changed:
            return results.failure(key.session_id, ItemNotFoundError(key.session_id, position=at))
        window = Window(name, 1, after=at - 1, before=at + 1, state=False)
        looking = self._storage.get(key, touch=False, window=window)
        found = None
        # The item is already replaced. An error of this read would wrongly say that nothing was written.
        with suppress(SessionStoreError):
            found = await in_time(time_left(timeout, began), looking, writing=False)
        stored = () if found is None or found.summary.created_at != edited.summary.created_at else found.items
        return results.read(edited.summary, lambda: (None, tuple(Item(at, copy, it.created_at) for it in stored)))

    async def trim_items(
        self,
        session_id: SessionId,
        keep: int,
        *,
        log: str = "",
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
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
        number, name = arguments.count(keep, "keep"), arguments.log_name(log)
        owner = arguments.owner_filter(owner_id)
        try:
            edited = await self._edit(Edit(self._key(session_id), name, keep=number, **owner), timeout)
        except (InvalidSessionIdError, SessionNotFoundError) as error:
            return results.failure(session_id, error)
        return results.read(edited.summary, lambda: (edited.changed, ()))

    async def _edit(self, edit: Edit, timeout: timedelta | None) -> Edited:  # noqa: ASYNC109
        """Does an edit.

        Raises:
            SessionNotFoundError: There is no live session, or it has another owner.
            SessionConflictError: The last position is not the expected one.
        """
        session_id = edit.key.session_id
        edited = await in_time(timeout, self._storage.edit(edit), writing=True)
        if edited is None:
            raise SessionNotFoundError(session_id)
        if not edited.done and edit.newest is None:
            summary, expected = edited.summary, edit.expected_position
            if expected not in (None, summary.last_position):
                raise SessionConflictError(session_id, expected=expected, actual=summary.last_position, of="position")
            assert edit.seen is not None
            seen = edit.seen.item_count
            raise SessionConflictError(session_id, expected=seen, actual=summary.item_count, of="items")
        return edited


def _seen(result: SessionResult[Any, Any] | None) -> SeenItems | None:
    """Returns the version, last position and item count that an earlier call saw.

    Raises:
        ConfigurationError: The result is not of a session that was found.
    """
    if result is None:
        return None
    if not isinstance(result, SessionResult):
        raise ConfigurationError(f"unchanged_since must be the result of a call, not {named(type(result))}")
    if result.version is None or result.last_position is None or result.item_count is None:
        raise ConfigurationError("unchanged_since must be the result of a call that found the session")
    return SeenItems(int(result.version), result.last_position, result.item_count)
