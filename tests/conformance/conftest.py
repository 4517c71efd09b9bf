"""The providers that have to conform, and managers on them."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from sessionstore import SessionManager, StorageProvider

from ..support.documents import TTL, Chat, new_chat
from ..support.pgbouncer import PGBOUNCER


class Managed(Protocol):
    """Makes a manager on the test's storage, or on another one."""

    def __call__(self, storage: StorageProvider = ..., **options: Any) -> SessionManager[Any]: ...


# "postgresql-roles": each call by a role that was granted no more than `migrate grants` prints, and without any DDL.
_KINDS = ["memory", "sqlite", "postgresql", "postgresql-asyncpg", "postgresql-roles"]
# Without the program they are not there, and the summary says so.
_POOLED_KINDS = [] if PGBOUNCER is None else ["pgbouncer", "pgbouncer-asyncpg"]


@pytest.fixture(params=[*_KINDS, *_POOLED_KINDS])
def provider_kind(request: pytest.FixtureRequest) -> str:
    """The whole matrix. To add a provider, add it here and to `storage_url`."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _unhurried(unhurried_reads: None) -> None:
    """What a read tells of the expiry must not depend on the machine's speed."""


@pytest.fixture
def managed(storage: StorageProvider) -> Managed:
    def make(storage: StorageProvider = storage, **options: Any) -> SessionManager[Any]:
        defaults: dict[str, Any] = {"default_state": new_chat, "namespace": "chat", "ttl": TTL}
        return SessionManager(storage=storage, **defaults | options)

    return make


@pytest.fixture
def chats(managed: Managed) -> SessionManager[Chat]:
    """A manager of dictionaries whose sessions live half an hour."""
    return managed()
