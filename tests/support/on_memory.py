"""Fixtures for tests that run on memory, unless a test says otherwise, and in an environment without settings."""

from __future__ import annotations

import pytest

from sessionstore import SessionManager, StorageProvider
from sessionstore.testing.support.documents import TTL, Chat, new_chat

SETTINGS = ("SESSIONSTORE_DATABASE_URL", "SESSIONSTORE_SCHEMA", "SESSION_TTL_SECONDS")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def provider_kind() -> str:
    return "memory"


@pytest.fixture
def chats(storage: StorageProvider) -> SessionManager[Chat]:
    return SessionManager(new_chat, storage, "chat", ttl=TTL)
