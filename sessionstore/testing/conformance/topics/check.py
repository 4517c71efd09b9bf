"""check(): whether the storage can be used as it is now."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore import ConfigurationError, StorageProvider

from ...support.documents import draft, key


@pytest.mark.parametrize("use", ["service", "reaper", "readonly"])
async def test_a_storage_that_can_be_used_passes(storage: StorageProvider, use: Any) -> None:
    await storage.check()
    await storage.check(use=use)


async def test_a_check_changes_nothing(storage: StorageProvider) -> None:
    await storage.create(draft())
    before = await storage.get(key(), touch=False)
    await storage.check()
    assert await storage.get(key(), touch=False) == before
    assert [found.live for found in await storage.stats()] == [1]


async def test_an_unknown_use_is_refused(storage: StorageProvider) -> None:
    wrong: Any = "owner"
    with pytest.raises(ConfigurationError, match="'service', 'reaper', 'readonly', not 'owner'"):
        await storage.check(use=wrong)
