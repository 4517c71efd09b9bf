"""Fixtures of the tests of `StoredSession`, and helpers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import pytest

# Before the SDK is imported: no traces are sent from tests.
os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"

from agents.items import TResponseInputItem

from sessionstore import StorageProvider
from sessionstore.integrations.openai_agents import StoredSession
from sessionstore.testing.support.documents import TTL

Chat: TypeAlias = Callable[..., StoredSession]


@pytest.fixture
def chat(storage: StorageProvider) -> Chat:
    """Makes an object for a conversation of the test's storage; two objects of one id are the same conversation."""

    def chat(session_id: str = "chat", **options: Any) -> StoredSession:
        return StoredSession(session_id, storage, **{"ttl": TTL, **options})

    return chat


def said(*texts: str, role: str = "user") -> list[TResponseInputItem]:
    """Messages of these texts."""
    return [cast(TResponseInputItem, {"role": role, "content": text}) for text in texts]


def raw(*items: Any) -> list[TResponseInputItem]:
    """Items of any shape."""
    return list(items)


def contents(items: list[TResponseInputItem]) -> list[Any]:
    """What the messages say."""
    return [cast(dict[str, Any], item)["content"] for item in items]
