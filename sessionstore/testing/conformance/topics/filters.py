"""Filters that match no session."""

from __future__ import annotations

import pytest

from sessionstore import ConfigurationError, StorageProvider

from ...support.documents import draft, key

_IMPOSSIBLE = ["\0", "a\0", "\ud800", "a\udfff", "\x1b[2J"]


@pytest.mark.parametrize("text", _IMPOSSIBLE)
async def test_a_filter_that_nothing_can_match_is_refused_before_the_storage_is_asked(
    storage: StorageProvider, text: str
) -> None:
    await storage.create(draft())
    with pytest.raises(ConfigurationError, match="prefix must hold no control characters"):
        await storage.list(prefix=text)
    with pytest.raises(ConfigurationError, match="owner_id must hold no control characters"):
        await storage.list(owner_id=text)
    with pytest.raises(ConfigurationError, match="namespace must hold no control characters"):
        await storage.list(text)
    with pytest.raises(ConfigurationError, match="prefix must hold no control characters"):
        await storage.clear("chat", prefix=text)
    with pytest.raises(ConfigurationError, match="namespace must hold no control characters"):
        await storage.clear(text)
    with pytest.raises(ConfigurationError, match="namespace must hold no control characters"):
        await storage.stats(text)
    assert await storage.exists(key())


async def test_a_filter_that_is_no_text_is_refused(storage: StorageProvider) -> None:
    wrong: list[object] = [1, b"a", ["a"]]
    for value in wrong:
        with pytest.raises(ConfigurationError, match="prefix must be a string"):
            await storage.list(prefix=value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(ConfigurationError, match="owner_id must be a string"):
            await storage.list(owner_id=value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
