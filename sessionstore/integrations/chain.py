"""Chains of items: each item is a JSON object with its own id and the id of its parent, the item before it.

The items of one chain may be in several sessions of a manager, and a session may hold items of several chains.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import JsonValue

from ..errors import CorruptStateError, ItemNotFoundError
from ..ids import SessionId
from ..manager import SessionManager
from ..session import SessionResult
from .keys import joined
from .logs import present

T = TypeVar("T")

Link: TypeAlias = dict[str, Any]
"""An item with the keys ``id`` and ``parent_id``; the latter is None for the first item of a chain."""

_ID: Final = str | None
_FIRST_PAGE: Final = 100
_LONGEST_PAGE: Final = 1000
_MOST_ENDS: Final = 1000
"""How many chains are remembered with the session that has their end."""


class Chains:
    """Reads and writes the chains in the sessions of a manager. The items are plain JSON.

    Args:
        manager: The manager.
    """

    def __init__(self, manager: SessionManager[Any]) -> None:
        self._manager = manager
        self._ends: dict[str, SessionId] = {}

    def note_end(self, last: str, session_id: SessionId) -> None:
        """Notes which session has the last item of a chain. to() looks for the item in this session first."""
        self._ends[last] = session_id
        if len(self._ends) > _MOST_ENDS:
            del self._ends[next(iter(self._ends))]

    async def to(self, last: str | None, limit: int | None = None) -> tuple[list[Link], str | None]:
        """Follows a chain back from its last item. This is no access.

        Args:
            last: The id of the last item; None: the chain is empty.
            limit: How many items to read at most, the last ones; None: all.

        Returns:
            The items, oldest first; and the id of an item that no session has, or None if all items were found.

        Raises:
            CorruptStateError: Another program wrote an item.
            StorageError: The storage failed.
        """
        return await self._follow(last, limit, None if last is None else self._ends.get(last))

    async def copied(self, ends: Iterable[str], *, needed: str | None) -> dict[str, Link]:
        """Reads the chains that end with these items. If a part of a chain is missing, reads the rest.

        Args:
            ends: The ids of the last items.
            needed: The id of a last item that has to exist; None: none has to.

        Raises:
            ItemNotFoundError: No session has the item that is needed.
            CorruptStateError: As to().
            StorageError: As to().
        """
        copied: dict[str, Link] = {}
        for last in sorted(ends):
            chain, missing = await self._follow(last)
            while chain and missing is not None:
                # The session was deleted during the read, or a part of the chain never existed.
                before = missing
                chain, missing = await self._follow(last)
                if missing == before:
                    break
            copied |= {link["id"]: link for link in chain}
            if last == needed and last not in copied:
                raise ItemNotFoundError(item_id=last)
        return copied

    async def extend(
        self,
        session_id: SessionId,
        change: Callable[[Any], tuple[T, Collection[str | None]]],
        new: Mapping[str, Link],
        after: Collection[str],
        *,
        needed: str | None,
    ) -> SessionResult[Any, JsonValue]:
        """Updates a session and appends items, with copies of the chains before them that the session does not have.

        Args:
            session_id: The session.
            change: Returns the new state, and the ids of items that the session has according to its old state.
            new: The items, by id.
            after: The ids of other items that the session has to have, besides the new ones.
            needed: As in copied().

        Raises:
            ItemNotFoundError: As copied().
            CorruptStateError: As copied().
            StorageError: As copied().
        """
        links, known = new, set[str]()

        def changed(state: Any) -> T:
            then, has = change(state)
            if unknown := {*after} - known - {*has}:
                raise _UnknownError(unknown)
            return then

        while True:
            try:
                return await self._manager.update_session(
                    session_id, changed, append=[*links.values()], ids=[*map(joined, links)]
                )
            except _UnknownError as error:
                own = await self._manager.get_items(session_id, ids=[*map(joined, error.items)], touch=False)
                lacking = error.items - {link["id"] for link in _links_of(own)}
                links = {**await self.copied(lacking, needed=needed), **new}
                known |= error.items

    async def _follow(
        self, last: str | None, limit: int | None = None, near: SessionId | None = None
    ) -> tuple[list[Link], str | None]:
        """Follows a chain, as to() does. Begins in the session ``near``; None: looks for the last item.

        Reads the items of a session in pages. Looks for an item by id only if the chain goes on in another session.
        """
        chain: dict[str, Link] = {}
        wanted, session_id = last, near
        before: int | None = None

        def lacks() -> bool:
            return wanted is not None and (limit is None or len(chain) < limit)

        while lacks():
            if session_id is None and wanted is not None:
                found = await self._manager.find_item(joined(wanted))
                if isinstance(found.error, ItemNotFoundError) or wanted in chain:
                    return [*reversed(chain.values())], wanted
                (link,) = _links_of(found)
                chain[wanted], wanted = link, link["parent_id"]
                session_id, before = found.session_id, found.items[0].position
            assert session_id is not None
            size = _FIRST_PAGE if limit is None else min(limit, _LONGEST_PAGE)
            while lacks():
                page = await self._manager.get_items(session_id, last=size, before=before, touch=False)
                for link in reversed(_links_of(page)):
                    if wanted is not None and lacks() and link["id"] == wanted and wanted not in chain:
                        chain[wanted], wanted = link, link["parent_id"]
                if len(page.items) < size:
                    break  # The rest of the chain is in another session, or this session was just deleted.
                before, size = page.items[0].position, min(2 * size, _LONGEST_PAGE)
            session_id = None
        return [*reversed(chain.values())], None


class _UnknownError(Exception):
    """Raised if it is unknown whether the session has these items."""

    def __init__(self, items: set[str]) -> None:
        super().__init__()
        self.items = items


def _links_of(result: SessionResult[Any, JsonValue]) -> list[Link]:
    """Returns the items that a call read. A session that does not exist has none.

    Raises:
        CorruptStateError: Another program wrote an item.
    """
    found = present(result)
    links: list[Link] = []
    for item in () if found is None else found.items:
        link = item.data
        if not (isinstance(link, dict) and isinstance(link.get("id"), str) and isinstance(link.get("parent_id"), _ID)):
            where = f"$[{item.position}]"
            raise CorruptStateError("is no entry", path=where, session_id=result.session_id, noun="items")
        links.append(link)
    return links
