"""`sessionstore.sync` in the clothes of the asynchronous API, so that the conformance suite runs through it.

Each call goes to a thread, from there through the face to the event loop of the bridge, and back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from sessionstore import SessionManager, StorageProvider, sync
from sessionstore.storage.documents import Documents
from sessionstore.storage.logs import Logs
from sessionstore.storage.upkeep import Upkeep

SYNC_KIND: Final = "sqlite-sync"


class ThreadedStorage(StorageProvider):
    """A synchronous storage, called from threads.

    Args:
        provider: The provider that does the work in the end.
    """

    def __init__(self, provider: StorageProvider) -> None:
        self.face = sync.StorageProvider(provider)
        self.batching = self.face.batching

    def __getattr__(self, name: str) -> Any:
        # What is no call of the storage: the insides that a test looks at.
        return getattr(self.face.asynchronous, name)


def _in_thread(name: str) -> Callable[..., Any]:
    async def call(self: ThreadedStorage, *arguments: Any, **named: Any) -> Any:
        return await asyncio.to_thread(getattr(self.face, name), *arguments, **named)

    return call


def _calls() -> Iterator[str]:
    for part in (Documents, Logs, Upkeep):
        yield from (name for name in vars(part) if not name.startswith("_"))
    yield from ("check", "close")


for _name in _calls():
    setattr(ThreadedStorage, _name, _in_thread(_name))


def threaded(provider: StorageProvider) -> StorageProvider:
    """A storage that is called through `sessionstore.sync`."""
    return ThreadedStorage(provider)  # type: ignore[abstract]  # its methods are set above


class ThreadedManager:
    """A synchronous manager, called from threads."""

    def __init__(self, face: sync.SessionManager[Any]) -> None:
        self._face = face

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            return await asyncio.to_thread(getattr(self._face, name), *arguments, **named)

        return getattr(self._face.asynchronous, name) if name.startswith("_") else call


def manager_on(storage: StorageProvider, **options: Any) -> SessionManager[Any]:
    """A manager on a storage, without asyncio if the storage is a ThreadedStorage."""
    if isinstance(storage, ThreadedStorage):
        return cast("SessionManager[Any]", ThreadedManager(sync.SessionManager(storage=storage.face, **options)))
    return SessionManager(storage=storage, **options)
