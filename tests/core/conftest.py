"""Everything here runs on memory, unless a test says otherwise, and in an environment without settings."""

from __future__ import annotations

import pytest

from sessionstore import SessionManager, StorageProvider
from tests.support.documents import TTL, Chat, new_chat

SETTINGS = ("SESSIONSTORE_DATABASE_URL", "SESSIONSTORE_SCHEMA", "SESSION_TTL_SECONDS")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def provider_kind() -> str:
    return "memory"


@pytest.fixture
def chats(storage: StorageProvider) -> SessionManager[Chat]:
    return SessionManager(new_chat, storage, "chat", ttl=TTL)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches may take as long as the test holds them, also where the machine is slow."""
    monkeypatch.setattr("sessionstore.concurrency.combine._PATIENCE", 3600.0)
