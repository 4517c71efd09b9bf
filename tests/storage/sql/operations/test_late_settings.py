"""A set whose answer was lost lands late: it overwrites nothing that was set, and revives nothing that was deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sessionstore import SqlStorageProvider, UpdateOutcomeUnknownError
from sessionstore.testing.support.documents import draft, key
from tests.support.late import LateGateway

_LOST = pytest.mark.parametrize("lost", [1, 2, 3], ids=["once", "twice", "three times"])
_TOGETHER = pytest.mark.parametrize("together", [1, 3])
_RENEW = pytest.mark.parametrize("renew", [False, True])


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with SqlStorageProvider.from_url(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        yield storage


@pytest.fixture
def gateway(storage: SqlStorageProvider, monkeypatch: pytest.MonkeyPatch) -> LateGateway:
    gateway = LateGateway(storage._gateway)
    monkeypatch.setattr(storage._fetching, "_gateway", gateway)
    return gateway


@_RENEW
@_LOST
@_TOGETHER
async def test_a_late_set_overwrites_no_later_one(
    storage: SqlStorageProvider, gateway: LateGateway, together: int, lost: int, renew: bool
) -> None:
    names = [f"s{n}" for n in range(together)]
    await storage.create(draft("s0"))
    gateway.late = lost
    await storage.set_many([draft(name, "[1]") for name in names], renew=renew)
    later = await storage.set_many([draft(name, "[2]") for name in names], renew=renew)
    await gateway.land()
    found = await storage.get_many([key(name) for name in names], touch=False)
    assert [it and (it.state, it.summary) for it in found] == [("[2]", summary) for summary in later]


@_RENEW
@_LOST
async def test_a_late_set_revives_no_deleted_session(
    storage: SqlStorageProvider, gateway: LateGateway, lost: int, renew: bool
) -> None:
    gateway.late = lost
    await storage.set(draft(), renew=renew)
    assert await storage.delete(key())
    await gateway.land()
    assert not await storage.exists(key())


async def test_a_set_that_landed_before_it_was_looked_for_is_not_written_again(
    storage: SqlStorageProvider, gateway: LateGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await storage.set(draft())
    landed = gateway._gateway

    async def run(operation: Any, **how: Any) -> Any:
        # Its answer is lost, and it has landed.
        monkeypatch.setattr(gateway, "run", landed.run)
        await landed.run(operation, **how)
        raise UpdateOutcomeUnknownError("lost")

    monkeypatch.setattr(gateway, "run", run)
    assert (await storage.set(draft(state="[1]"))).version == before.version + 1
