from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sessionstore.testing.postgres import Database
from tests.storage.sql.urls.places import Places
from tests.support.entrance import Entrance


@pytest.fixture
async def places(database: Database, driver: str) -> AsyncIterator[Places]:
    """The ways to an empty database: a socket, TCP and TLS."""
    database.empty()
    async with Entrance(database.url) as plain, Entrance(database.url, tls=True) as tls:
        yield Places(plain, tls, database, driver)
