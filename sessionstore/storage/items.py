"""The items of a session, as providers take and return them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from ..errors import SessionConflictError
from ..ids import SessionId


class NewItem(NamedTuple):
    """An item to append to a session.

    Attributes:
        text: The item, as JSON text. Storages keep the text as it is, character by character.
        id: The caller's own id of the item; None: it has none. An item whose id the session has already is passed over.
        log: The name of the log within the session.
        version: The shape version of the item.
        only_new: If the session has the id already, refuse the whole write instead of passing over the item.
    """

    text: str
    id: str | None = None
    log: str = ""
    version: int = 1
    only_new: bool = False


def check_new(session_id: SessionId, items: Iterable[NewItem], positions: Iterable[int | None]) -> None:
    """Checks that no item with ``only_new`` is passed over.

    Args:
        session_id: The session.
        items: The items.
        positions: The position of each item; None: the item is passed over, because the session has its id.

    Raises:
        SessionConflictError: An item with ``only_new`` is passed over. The caller must write nothing.
    """
    there = sum([item.only_new and position is None for item, position in zip(items, positions, strict=True)])
    if there:
        raise SessionConflictError(session_id, expected=0, actual=there, of="ids")


def chars_of(items: Iterable[NewItem | StoredItem]) -> int:
    """Returns the length of the texts of items, in characters."""
    return sum([len(item.text) for item in items])


class StoredItem(NamedTuple):
    """An item of a session: its position, its JSON text, when it was appended, and the shape version of the text."""

    position: int
    text: str
    created_at: datetime
    version: int = 1


class Window(NamedTuple):
    """Which items of a session to read. The items come oldest first.

    Attributes:
        log: The name of the log.
        limit: The largest number of items.
        newest: True: the newest items within the bounds are read. False: the oldest.
        after: Only items behind this position; None: from the first.
        before: Only items before this position; None: to the last.
        ids: Only items with these ids; None: any.
        state: Whether the document has the state. False: it is "", and is not read.
    """

    log: str = ""
    limit: int = 100
    newest: bool = True
    after: int | None = None
    before: int | None = None
    ids: tuple[str, ...] | None = None
    state: bool = True
