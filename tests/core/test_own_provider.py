from __future__ import annotations

from collections.abc import Sequence

import pytest

from sessionstore import MemoryStorageProvider, StorageError, StorageProvider
from sessionstore.storage import Key


class Own(MemoryStorageProvider):
    """A provider of somebody else, which knows no check of its own."""

    check = StorageProvider.check
    down = False

    async def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        if self.down:
            raise StorageError("away")
        return await super().exists_many(keys)


async def test_a_provider_without_a_check_is_asked_for_a_session() -> None:
    own = Own()
    await own.check()
    own.down = True
    with pytest.raises(StorageError, match="away"):
        await own.check(use="readonly")
