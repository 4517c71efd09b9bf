"""A deletion whose answer was lost lands late: it deletes no session that was created after it was told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sessionstore import SqlStorageProvider
from sessionstore.storage.sql.connections.operation import Operation
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import draft, key
from tests.support.databases import driven
from tests.support.late import LateGateway


@pytest.fixture(params=["psycopg", "asyncpg"])
async def storage(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[SqlStorageProvider]:
    database.empty()
    async with SqlStorageProvider.from_url(driven(database.url, request.param)) as storage:
        assert isinstance(storage, SqlStorageProvider)
        yield storage


@pytest.fixture
def gateway(storage: SqlStorageProvider, monkeypatch: pytest.MonkeyPatch) -> LateGateway:
    gateway = LateGateway(storage._gateway)
    monkeypatch.setattr(storage._fetching, "_gateway", gateway)
    return gateway


@pytest.mark.parametrize("lost", [1, 2, 3], ids=["once", "twice", "three times"])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("together", [1, 3])
async def test_a_late_deletion_spares_a_session_that_was_created_after_the_answer(
    storage: SqlStorageProvider, gateway: LateGateway, together: int, there: bool, lost: int
) -> None:
    names = [f"s{n}" for n in range(together)]
    if there:
        await storage.create_many([draft(name) for name in names])
    gateway.late = lost
    assert await storage.delete_many([key(name) for name in names]) == [there] * together
    created = await storage.create_many([draft(name) for name in names])
    assert all(creation.created for creation in created)
    await gateway.land()
    assert await storage.exists_many([key(name) for name in names]) == [True] * together
    assert await storage.delete_many([key(name) for name in names]) == [True] * together


async def test_a_deletion_that_landed_before_somebody_created_the_session_again_is_done_once(
    storage: SqlStorageProvider, gateway: LateGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await storage.create(draft())
    plain = gateway.run

    async def run(operation: Operation[Any], **how: Any) -> Any:
        if not gateway.late:
            monkeypatch.setattr(gateway, "run", plain)
            await gateway.land()
            assert (await storage.create(draft())).created  # by somebody else
        return await plain(operation, **how)

    gateway.late = 1
    monkeypatch.setattr(gateway, "run", run)
    assert await storage.delete_many([key()]) == [True]
    assert await storage.exists(key())
