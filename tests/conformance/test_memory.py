from __future__ import annotations

import pytest

from sessionstore import MemoryStorageProvider, StorageProvider
from sessionstore.testing.conformance import Capability, MakeProvider, ProviderConformance, Restore, Saved


class TestMemory(ProviderConformance):
    capabilities = Capability.ITEMS | Capability.SHAPES | Capability.RESHAPING | Capability.RESTORED

    @pytest.fixture
    def make_provider(self) -> MakeProvider:
        return lambda clock: MemoryStorageProvider(clock=clock)

    @pytest.fixture
    def saved(self, storage: StorageProvider) -> Saved:
        assert isinstance(storage, MemoryStorageProvider)
        sessions = storage._documents

        def save() -> Restore:
            content = dict(sessions)

            def restore() -> None:
                sessions.clear()
                sessions.update(content)

            return restore

        return save
