"""The SDK's own contracts of a session store, on every storage."""

from __future__ import annotations

from itertools import count

from claude_agent_sdk.testing import run_session_store_conformance

from sessionstore import StorageProvider
from sessionstore.integrations.claude_agent_sdk import StoredSessionStore


async def test_all_fourteen_contracts_are_kept(storage: StorageProvider) -> None:
    made = count()
    stores: list[StoredSessionStore] = []

    def fresh() -> StoredSessionStore:
        stores.append(StoredSessionStore(storage, namespace=f"contract {next(made)}"))
        return stores[-1]

    await run_session_store_conformance(fresh)
    # One store asks which methods there are, and each contract has one of its own.
    assert len(stores) == 1 + 14
