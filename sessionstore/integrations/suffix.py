"""Suffix: replaces the newest items of a history, if they have not changed since they were read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from ..errors import SessionConflictError, SessionNotFoundError
from ..manager import SessionManager
from ..session import Item, SessionResult

Manager: TypeAlias = Callable[[int | None], SessionManager[Any, Any]]
"""Makes a manager with this ``keep_items``."""

_PAGE: Final = 500


class Suffix:
    """Replaces the newest items of one session.

    Args:
        manager: Makes the managers for the session's namespace.
        session_id: The session.
        owner_id: The owner of the session; None: any.
    """

    def __init__(self, manager: Manager, session_id: str, owner_id: str | None) -> None:
        self._manager = manager
        self._chats = manager(None)
        self._session_id = session_id
        self._owner_id = owner_id

    async def replace(
        self,
        read: SessionResult[None, Any],
        start: int,
        output: Sequence[Any],
        pruned: Callable[[Any], bool] | None,
    ) -> bool:
        """Replaces items, and removes old items before them, at once. False: the items have changed since the read.

        Args:
            read: The result with the newest items.
            start: The index in this result of the first item to replace.
            output: The new items.
            pruned: Tells whether to remove an old item. Removal stops at the first False. None: no item is removed.
        """
        suffix = read.items[start:]
        # `unchanged_since` does not notice an item that was replaced in its place, so the items are compared here.
        there = await self._chats.get_items(self._session_id, last=len(suffix), owner_id=self._owner_id)
        if not suffix or suffix != found(there):
            return False
        after, chats = suffix[0].position - 1, self._chats
        if pruned is not None and (removed := await self._oldest(suffix[0].position, pruned)):
            kept = (read.item_count or 0) - len(suffix) - removed + len(output)
            after, chats = (after, self._manager(kept)) if kept > len(output) else (0, chats)
        replacing = chats.replace_items(
            self._session_id, output, after=after, unchanged_since=read, owner_id=self._owner_id
        )
        return done(await replacing)

    async def _oldest(self, before: int, pruned: Callable[[Any], bool]) -> int:
        """Counts the oldest items to remove, up to the first that stays."""
        count = after = 0
        while True:
            page = await self._chats.get_items(
                self._session_id, after=after, before=before, limit=_PAGE, touch=False, owner_id=self._owner_id
            )
            for item in found(page):
                if not pruned(item.data):
                    return count
                count += 1
                after = item.position
            if len(page.items) < _PAGE:
                return count


def found(result: SessionResult[None, Any]) -> tuple[Item[Any], ...]:
    """Returns the items of a result. A session that does not exist has none.

    Raises:
        SessionStoreError: The call failed otherwise.
    """
    if not isinstance(result.error, SessionNotFoundError):
        result.unwrap()
    return result.items


def done(replaced: SessionResult[None, Any]) -> bool:
    """Returns whether a replacement was done. False: the items have changed since the read, or the session is gone.

    Raises:
        SessionStoreError: The call failed otherwise.
    """
    if isinstance(replaced.error, SessionConflictError | SessionNotFoundError):
        return False
    replaced.unwrap()
    return True
