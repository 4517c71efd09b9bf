"""No row of an item is left of a session that ended."""

from __future__ import annotations

import pytest

from sessionstore import SqlStorageProvider, StorageProvider
from sessionstore.storage import NewItem
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.support.documents import draft, end


async def count_rows(storage: SqlStorageProvider) -> int:
    """Counts the items of all sessions, dead ones too."""
    gateway = storage._gateway
    sql = f"SELECT count(*) FROM {gateway.statements._terms.items.fullname}"
    ((count,),) = await gateway.run(lambda lease: gateway._backend.driver.fetch(lease.driver, sql, ()), writing=False)
    return int(count)


@pytest.mark.parametrize("provider_kind", ["sqlite", "postgresql", "postgresql-asyncpg"], indirect=True)
@pytest.mark.parametrize("how", ["delete", "clear", "purge"])
async def test_a_session_that_ended_leaves_no_items(storage: StorageProvider, clock: ManualClock, how: str) -> None:
    assert isinstance(storage, SqlStorageProvider)
    await storage.create(draft(items=[NewItem("1", "a"), NewItem("2", log="x")]))
    assert await count_rows(storage) == 2
    await end(storage, clock, how)
    assert await count_rows(storage) == 0
