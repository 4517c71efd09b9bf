"""docs/frameworks/key-value.md: its programs run, and the scripts move what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from key_value.aio.stores.postgresql import PostgreSQLStore

from sessionstore import open_storage
from sessionstore.integrations.key_value import StoredKeyValue
from sessionstore.testing.postgres import dsn
from tests.integrations.pages import fresh_directory as fresh_directory
from tests.integrations.pages import python_blocks, run
from tests.support.pages import Block

_BLOCKS = python_blocks("key-value.md")
_FROM_POSTGRESQL = _BLOCKS[-1]


@pytest.mark.parametrize("block", _BLOCKS[:-1])
def test_a_program_prints_what_the_page_says(block: Block, fresh_directory: Path) -> None:
    run(block)


def test_entries_move_from_the_store_for_postgresql(
    url_of_kind: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = dsn(url_of_kind("postgresql"))
    asyncio.run(_fill(url))
    monkeypatch.setenv("SESSIONSTORE_DATABASE_URL", url)
    assert run(_FROM_POSTGRESQL) == ["3 moved"]
    assert run(_FROM_POSTGRESQL) == ["0 moved"]
    asyncio.run(_compare(url))


_VALUE = {"name": "Zoë", "list": [1, 1.5, None, {"a": True}]}


async def _fill(url: str) -> None:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        await pool.execute("DROP TABLE IF EXISTS kv_store")
        store = PostgreSQLStore(pool=pool)
        await store.put("a", _VALUE)
        await store.put("b" * 300, _VALUE, collection="c", ttl=3600)
        await store.put("", {}, collection="c")
        await store.put("expired", {}, ttl=0.000001)


async def _compare(url: str) -> None:
    async with open_storage(url) as storage:
        store = StoredKeyValue(storage)
        assert await store.ttl("a") == (_VALUE, None)
        value, left = await store.ttl("b" * 300, collection="c")
        assert value == _VALUE
        assert left is not None
        assert 3000 < left <= 3600
        assert await store.get("", collection="c") == {}
