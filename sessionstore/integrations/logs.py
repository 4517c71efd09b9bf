"""Logs of sessions: read whole, however long they are."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from ..errors import SessionNotFoundError
from ..ids import SessionId
from ..manager import SessionManager
from ..session import I, SessionResult

T = TypeVar("T")

_PAGE: Final = 200


def present(result: SessionResult[T, I]) -> SessionResult[T, I] | None:
    """Returns the result of a call that succeeded; None: there is no such session.

    Raises:
        SessionStoreError: The call failed otherwise.
    """
    if isinstance(result.error, SessionNotFoundError):
        return None
    result.unwrap()
    return result


async def whole_log(sessions: SessionManager[Any, I], session_id: SessionId, log: str) -> list[I] | None:
    """Reads all items of a log, page by page. This is an access.

    Returns:
        The items; None: the log has none, or the session does not exist. If the session was deleted and created again
        meanwhile, all items are of the same one.

    Raises:
        CorruptStateError: Another program wrote an item.
        StorageError: The storage failed.
    """

    async def page(after: int | None = None, limit: int = _PAGE) -> SessionResult[None, I] | None:
        return present(await sessions.get_items(session_id, after=after, limit=limit, log=log))

    while True:
        first = read = await page()
        items: list[I] = []
        while read is not None and read.items:
            items += [item.data for item in read.items]
            read = await page(after=read.items[-1].position) if len(read.items) == _PAGE else None
        if first is None or len(items) < _PAGE:
            return items or None
        again = await page(limit=1)
        if again is not None and again.items == first.items[:1]:
            return items
        # The session or the log was deleted between two pages, and may have been created again.
