"""Storages with batches and without, for calls on rows that others hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import pytest

from sessionstore import Batching, SessionManager, SqlStorageProvider, open_storage
from sessionstore.testing.support.documents import TTL, Chat, new_chat

Call: TypeAlias = Callable[[SqlStorageProvider], Awaitable[Any]]
_BATCHINGS: Final = {"batches": Batching(), "one by one": None}


@pytest.fixture(params=_BATCHINGS.values(), ids=list(_BATCHINGS))
def batching(request: pytest.FixtureRequest) -> Batching | None:
    batching: Batching | None = request.param
    return batching


@pytest.fixture
async def storage(url: str, batching: Batching | None) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(url, batching=batching, pool_size=4) as storage:
        assert isinstance(storage, SqlStorageProvider)
        yield storage


@pytest.fixture
def chats(storage: SqlStorageProvider) -> SessionManager[Chat]:
    return SessionManager(new_chat, storage, "chat", ttl=TTL)
