"""Calls on a storage that was closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from sessionstore import SessionManager, StorageError, StorageProvider
from sessionstore.storage import Write

from ...capability import Capability, needs
from ...support.documents import Chat, draft, increment, key, rewrite, summary

CALLS: dict[str, Callable[[StorageProvider], Awaitable[object]]] = {
    "create_many": lambda storage: storage.create_many([draft()]),
    "get_group": lambda storage: storage.get_group([key()]),
    "get_many": lambda storage: storage.get_many([key()]),
    "get_many without touch": lambda storage: storage.get_many([key()], touch=False),
    "update_many": lambda storage: storage.update_many([Write(summary(), "{}")]),
    "update_locked": lambda storage: storage.update_locked(key(), rewrite),
    "delete_many": lambda storage: storage.delete_many([key()]),
    "set_many": lambda storage: storage.set_many([draft()]),
    "exists_many": lambda storage: storage.exists_many([key()]),
    "touch_many": lambda storage: storage.touch_many([key()]),
    "list": lambda storage: storage.list(),
    "clear": lambda storage: storage.clear(),
    "purge_batch": lambda storage: storage.purge_batch(),
    "purge_expired": lambda storage: storage.purge_expired(),
    "count_expired": lambda storage: storage.count_expired(),
    "stats": lambda storage: storage.stats(),
    "check": lambda storage: storage.check(),
}


@needs(Capability.ITEMS)
@pytest.mark.parametrize("call", list(CALLS.values()), ids=list(CALLS))
@pytest.mark.parametrize("used", [False, True], ids=["never used", "used"])
async def test_a_closed_storage_raises(
    storage: StorageProvider, call: Callable[[StorageProvider], Awaitable[object]], *, used: bool
) -> None:
    if used:
        await call(storage)
    await storage.close()
    with pytest.raises(StorageError):
        await call(storage)


async def test_closing_twice_is_fine(storage: StorageProvider) -> None:
    await storage.create(draft())
    await storage.close()
    await storage.close()


async def test_leaving_the_block_closes(storage: StorageProvider) -> None:
    async with storage as entered:
        assert entered is storage
    with pytest.raises(StorageError):
        await storage.exists(key())


async def test_a_manager_on_a_closed_storage_raises_and_finds_nothing_missing(
    storage: StorageProvider, chats: SessionManager[Chat]
) -> None:
    await chats.create_session("s")
    await storage.close()
    for call in (
        chats.create_session("s"),
        chats.get_session("s"),
        chats.update_session("s", increment),
        chats.delete_session("s"),
    ):
        with pytest.raises(StorageError):
            await call
