from __future__ import annotations

import pytest

from sessionstore import StorageProvider
from sessionstore.integrations.key_value import StoredKeyValue


@pytest.fixture
def store(storage: StorageProvider) -> StoredKeyValue:
    return StoredKeyValue(storage)
