"""Chains of items: each item is a JSON object with its own id and that of the item before it, its parent.

The items of one chain may be in several sessions of a manager, and a session may hold items of several chains.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from pydantic import JsonValue

from ..errors import CorruptStateError, ItemNotFoundError, SessionNotFoundError
from ..ids import SessionId
from ..manager import SessionManager
from ..session import SessionResult
from .keys import joined

Link: TypeAlias = dict[str, Any]
"""An item with the keys ``id`` and ``parent_id``; the latter is None for the first item of a chain."""

_ID: Final = str | None
_FIRST_PAGE: Final = 100
_LONGEST_PAGE: Final = 1000


async def chain_to(
    manager: SessionManager[Any], last: str | None, limit: int | None = None, *, near: SessionId | None = None
) -> tuple[list[Link], str | None]:
    """Follows a chain back from its last item. This is no access.

    Reads the items of a session in pages, and looks for an item by its id only where the chain goes on in another one.

    Args:
        manager: The manager of the sessions, whose items are plain JSON.
        last: The id of the last item; None: the chain is empty.
        limit: How many items to read at most, the last ones; None: all.
        near: A session that probably has the last item, near its end; None: the item is looked for.

    Returns:
        The items, the first one first, and the id of an item that no session has; None: all were found.

    Raises:
        CorruptStateError: Another program wrote an item.
        StorageError: The storage failed.
    """
    chain: dict[str, Link] = {}
    wanted, session_id = last, near
    before: int | None = None

    def lacks() -> bool:
        return wanted is not None and (limit is None or len(chain) < limit)

    while lacks():
        if session_id is None and wanted is not None:
            found = await manager.find_item(joined(wanted))
            if isinstance(found.error, ItemNotFoundError) or wanted in chain:
                return [*reversed(chain.values())], wanted
            (link,) = links_of(found)
            chain[wanted], wanted = link, link["parent_id"]
            session_id, before = found.session_id, found.items[0].position
        assert session_id is not None
        size = _FIRST_PAGE if limit is None else min(limit, _LONGEST_PAGE)
        while lacks():
            page = await manager.get_items(session_id, last=size, before=before, touch=False)
            for link in reversed(links_of(page)):
                if wanted is not None and lacks() and link["id"] == wanted and wanted not in chain:
                    chain[wanted], wanted = link, link["parent_id"]
            if len(page.items) < size:
                break  # The rest is in another session, or this session was deleted a moment ago.
            before, size = page.items[0].position, min(2 * size, _LONGEST_PAGE)
        session_id = None
    return [*reversed(chain.values())], None


def links_of(result: SessionResult[Any, JsonValue]) -> list[Link]:
    """Returns the items that a call read; none if there is no such session.

    Raises:
        CorruptStateError: Another program wrote an item.
    """
    if result.error is not None and not isinstance(result.error, SessionNotFoundError):
        raise result.error
    links: list[Link] = []
    for item in result.items:
        link = item.data
        if not (isinstance(link, dict) and isinstance(link.get("id"), str) and isinstance(link.get("parent_id"), _ID)):
            where = f"$[{item.position}]"
            raise CorruptStateError("is no entry", path=where, session_id=result.session_id, noun="items")
        links.append(link)
    return links
