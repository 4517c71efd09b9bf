"""The end of a history, which can be replaced if it is still as it was read."""

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
    """Replaces the newest items of one session by others.

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
        """Replaces items, and removes old ones before them, at once. False: the items have changed since.

        Args:
            read: The result that has the newest items.
            start: The index of the first of its items that is replaced.
            output: What takes their place.
            pruned: Which of the oldest items are removed, up to the first that is not; None: none.
        """
        suffix = read.items[start:]
        # Compared, because an item that was redacted in its place counts as unchanged for `unchanged_since`.
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
        """Counts the oldest items that are to be removed, up to the first that is not."""
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
    """The items of a result; none if there is no session.

    Raises:
        SessionStoreError: The call failed otherwise.
    """
    if not isinstance(result.error, SessionNotFoundError):
        result.unwrap()
    return result.items


def done(replaced: SessionResult[None, Any]) -> bool:
    """Whether a replacement was done. False: the items have changed since, or the session is gone.

    Raises:
        SessionStoreError: The call failed otherwise.
    """
    if isinstance(replaced.error, SessionConflictError | SessionNotFoundError):
        return False
    replaced.unwrap()
    return True
