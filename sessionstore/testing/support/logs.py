"""Short functions that write and read the items of a session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sessionstore import StorageProvider
from sessionstore.storage import Append, Document, Key, NewItem, StoredItem, Window

from .documents import key


def items(*texts: str, log: str = "") -> Sequence[NewItem]:
    """Returns items without ids."""
    return [NewItem(text, log=log) for text in texts]


async def fill(storage: StorageProvider, session: str | Key, *texts: str, log: str = "") -> None:
    """Appends items to a session."""
    of = key(session) if isinstance(session, str) else session
    assert (await storage.append_many([Append(of, items(*texts, log=log))]))[0] is not None


async def window_of(storage: StorageProvider, session: str | Key, window: Window) -> Document:
    """Reads a session that exists, with the items of a window. This is no access."""
    of = key(session) if isinstance(session, str) else session
    document = await storage.get(of, touch=False, window=window)
    assert document is not None
    return document


async def texts_of(storage: StorageProvider, session: str | Key = "s", *, log: str = "") -> list[str]:
    """Returns the texts of all items of a log."""
    return texts((await window_of(storage, session, Window(log, limit=1_000_000))).items)


def texts(stored: Iterable[StoredItem]) -> list[str]:
    return [item.text for item in stored]


def positions(stored: Iterable[StoredItem]) -> list[int]:
    return [item.position for item in stored]
