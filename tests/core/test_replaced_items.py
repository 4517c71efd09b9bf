"""replace_item() tells that the item was replaced, also if the storage fails right afterwards."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from sessionstore import MemoryStorageProvider, SessionManager, StorageUnavailableError
from sessionstore.storage import Document, Edit, Edited


class _GoneAfterAnEdit(MemoryStorageProvider):
    """Answers an edit, and then no read: it fails, or hangs."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__()
        self.edited = False
        self._hangs = hangs

    async def edit(self, edit: Edit) -> Edited | None:
        edited = await super().edit(edit)
        self.edited = True
        return edited

    async def get(self, *args: Any, **options: Any) -> Document | None:
        if self.edited:
            if self._hangs:
                await asyncio.Event().wait()
            raise StorageUnavailableError("away")
        return await super().get(*args, **options)


@pytest.mark.parametrize("hangs", [False, True], ids=["fails", "hangs"])
async def test_a_replacement_that_landed_is_a_success_although_the_storage_then_fails(hangs: bool) -> None:
    storage = _GoneAfterAnEdit(hangs=hangs)
    chats: SessionManager[dict[str, object]] = SessionManager(lambda session_id: {}, storage)
    await chats.create_session("s", items=["a secret"])
    replaced = await chats.replace_item("s", 1, "(redacted)", timeout=timedelta(milliseconds=100))
    assert replaced.success
    assert replaced.items == ()
    storage.edited = False
    assert [item.data for item in (await chats.get_items("s")).items] == ["(redacted)"]
