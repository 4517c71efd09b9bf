"""Storages whose clock is the demo's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from sessionstore import StorageProvider, open_storage
from sessionstore.demo import DemoClock, Dialogue, load, shipped


@pytest.fixture(params=["sqlite", "postgresql"])
def provider_kind(request: pytest.FixtureRequest) -> str:
    """Where several callers really meet."""
    return str(request.param)


@pytest.fixture
def demo_clock() -> DemoClock:
    return DemoClock()


@pytest.fixture
async def storage(storage_url: str, demo_clock: DemoClock) -> AsyncIterator[StorageProvider]:
    async with open_storage(storage_url, clock=demo_clock) as storage:
        yield storage


@pytest.fixture(scope="session")
def dialogues() -> Sequence[Dialogue]:
    """Those that are shipped."""
    return load(shipped())
