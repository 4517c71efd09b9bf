"""The providers that have to conform, and managers on them."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from sessionstore import SessionManager, StorageProvider

from ..support.distribution import NEEDS_NEWEST
from ..support.documents import TTL, Chat, new_chat
from ..support.pgbouncer import PGBOUNCER
from ..support.threaded import SYNC_KIND, manager_on


class Managed(Protocol):
    """Makes a manager on the test's storage, or on another one."""

    def __call__(self, storage: StorageProvider = ..., **options: Any) -> SessionManager[Any]: ...


# "postgresql-roles": each call by a role that was granted no more than `migrate grants` prints, and without any DDL.
_KINDS = ["memory", "sqlite", "postgresql", "postgresql-asyncpg", "postgresql-roles"]
# Without the program they are not there, and the summary says so.
_POOLED_KINDS = [] if PGBOUNCER is None else ["pgbouncer", "pgbouncer-asyncpg"]


# Databases at the previous revision, on which all tests run but those that are marked `needs_newest`.
_PREVIOUS_KINDS = ["sqlite-previous", "postgresql-previous"]
_OF_TEXTS = {
    "test_any_type",
    "test_garbage",
    "test_ids",
    "test_own_code",
    "test_refused_states",
    "test_returned_values",
    "test_round_trip",
    "test_states_that_differ",
    "test_states_that_stay",
    "test_typed_states",
    "test_unstorable_text",
}
"""The modules whose tests send many texts through the same statements. The revision makes no difference to them."""


_OF_CALLS = {
    "test_append_with_state",
    "test_check",
    "test_create",
    "test_delete",
    "test_expiry",
    "test_find",
    "test_fork",
    "test_fork_session",
    "test_get",
    "test_idempotency",
    "test_incarnations",
    "test_item_changes",
    "test_item_reads",
    "test_items",
    "test_keep_items",
    "test_list",
    "test_list_sessions",
    "test_logs",
    "test_orchestration",
    "test_owners",
    "test_purge",
    "test_reaper",
    "test_set",
    "test_touch",
    "test_update",
    "test_update_concurrently",
}
"""The modules that run through `sessionstore.sync` too: together they make every call."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives each test the whole matrix. To add a provider, add it above and to `storage_url`."""
    if "provider_kind" not in metafunc.fixturenames:
        return
    module = metafunc.module.__name__.rpartition(".")[2]
    newest = module in _OF_TEXTS or metafunc.definition.get_closest_marker(NEEDS_NEWEST) is not None
    previous = [] if newest else _PREVIOUS_KINDS
    sync = [SYNC_KIND] if module in _OF_CALLS else []
    metafunc.parametrize("provider_kind", [*_KINDS, *_POOLED_KINDS, *previous, *sync], indirect=True)


@pytest.fixture
def provider_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _unhurried(unhurried_reads: None) -> None:
    """What a read tells of the expiry must not depend on the machine's speed."""


@pytest.fixture
def managed(storage: StorageProvider) -> Managed:
    def make(storage: StorageProvider = storage, **options: Any) -> SessionManager[Any]:
        defaults: dict[str, Any] = {"default_state": new_chat, "namespace": "chat", "ttl": TTL}
        return manager_on(storage, **defaults | options)

    return make


@pytest.fixture
def chats(managed: Managed) -> SessionManager[Chat]:
    """A manager of dictionaries whose sessions live half an hour."""
    return managed()
