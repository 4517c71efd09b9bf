"""Short functions that call a provider on the items of one session."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest_asyncio

from sessionstore import StorageProvider
from sessionstore.storage import Append, Document, Edit, Edited, NewItem, StoredItem, Summary, Window
from sessionstore.storage.journal import Journal

from .documents import key, put

_ALL = 1000


def texts(*values: object, log: str = "") -> Sequence[NewItem]:
    return [NewItem(json.dumps(value), log=log) for value in values]


def named(*ids: str | None, log: str = "") -> Sequence[NewItem]:
    return [NewItem(json.dumps(item_id), item_id, log) for item_id in ids]


async def append(storage: StorageProvider, *items: NewItem, name: str = "s", **conditions: Any) -> Summary | None:
    return await storage.append(Append(key(name), items, **conditions))


async def appended(storage: StorageProvider, *items: NewItem, **conditions: Any) -> Sequence[int | None]:
    summary = await append(storage, *items, **conditions)
    assert summary is not None
    return list(summary.appended)


async def read(storage: StorageProvider, name: str = "s", **window: Any) -> Document:
    window = {"limit": _ALL, **window}
    (document,) = await storage.get_many([key(name)], touch=False, journal=True, window=Window(**window))
    assert document is not None
    return document


async def items(storage: StorageProvider, name: str = "s", **window: Any) -> Sequence[StoredItem]:
    return (await read(storage, name, **window)).items


async def values(storage: StorageProvider, name: str = "s", **window: Any) -> list[Any]:
    return [json.loads(item.text) for item in await items(storage, name, **window)]


async def counters(storage: StorageProvider, name: str = "s") -> tuple[int, int]:
    summary = (await read(storage, name)).summary
    return summary.last_position, summary.item_count


async def journal(storage: StorageProvider, name: str = "s") -> Journal:
    found = (await read(storage, name)).journal
    assert found is not None
    return found


async def edit(storage: StorageProvider, name: str = "s", **change: Any) -> Edited:
    edited = await storage.edit(Edit(key(name), **change))
    assert edited is not None
    return edited


@pytest_asyncio.fixture(loop_scope="function")
async def storage_with_a_session(storage: StorageProvider) -> StorageProvider:
    await put(storage, "s")
    return storage
