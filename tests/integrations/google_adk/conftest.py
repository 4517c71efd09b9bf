"""Fixtures: the service on a storage of each kind."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sessionstore import StorageProvider
from sessionstore.integrations.google_adk import StoredSessionService

TTL = timedelta(hours=1)


@pytest.fixture
def service(storage: StorageProvider) -> StoredSessionService:
    """The service on an empty storage of the kind."""
    return StoredSessionService(storage, ttl=TTL)
