"""Founding: the first write to a session creates it, with its state and its items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

from ..errors import SessionConflictError
from ..ids import SessionId
from ..manager import SessionManager
from ..session import I, T
from .logs import present


class Founding(Generic[T, I]):
    """Writes states together with items, and creates sessions that do not exist.

    A session is created with items, so its last position is never 0.

    Args:
        starting_with: Makes a manager whose new sessions begin with the given state.
        new: Makes the state that the first write changes.
    """

    def __init__(self, starting_with: Callable[[T], SessionManager[T, I]], new: Callable[[], T]) -> None:
        self._starting_with = starting_with
        self._new = new
        self._sessions = starting_with(new())

    async def write(
        self,
        session_id: SessionId,
        change: Callable[[T], None],
        items: Sequence[I],
        *,
        ids: Sequence[str | None],
        log: str,
        owner_id: str,
        expected_version: int | None = None,
    ) -> bool:
        """Changes the state in place and appends items. Both land, or neither does.

        Args:
            session_id: The session.
            change: Changes the state. If it raises an error, nothing is written, and the caller gets the error.
            items: The items, at least one.
            ids: The ids of the items. Those that the session has are passed over.
            log: The log of the items.
            owner_id: The owner of a session that is created.
            expected_version: The version at which the session has to be, if it is there; None: any.

        Returns:
            Whether the write landed. False: the session has another version, or another caller has just created it.

        Raises:
            SessionStoreError: The call failed otherwise.
        """
        updated = await self._sessions.update_session(
            session_id, change, append=items, ids=ids, log=log, expected_version=expected_version
        )
        if isinstance(updated.error, SessionConflictError):
            return False
        if present(updated) is not None:
            return True
        state = self._new()
        change(state)
        made = await self._starting_with(state).append_items(
            session_id, items, ids=ids, log=log, create=True, owner_id=owner_id, expected_position=0
        )
        if isinstance(made.error, SessionConflictError):
            return False
        made.unwrap()
        return True
