"""The types of the suite's fixtures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from sessionstore import SessionManager, StorageProvider
from sessionstore.storage import Clock

MakeProvider: TypeAlias = Callable[[Clock], StorageProvider]
"""Makes a provider on the sessions of the test. The provider takes its time from the clock."""

OpenAnother: TypeAlias = Callable[[], Awaitable[StorageProvider]]
"""Opens another provider on the sessions of the test. If the provider is not SHARED, returns the same one again."""

Restore: TypeAlias = Callable[[], None]
"""Puts the noted content back."""

Saved: TypeAlias = Callable[[], Restore]
"""Notes the content of the storage. The returned function puts this content back, as the restore of a backup does."""


class Managed(Protocol):
    """Makes a manager on the test's storage, or on another one."""

    def __call__(self, storage: StorageProvider = ..., **options: Any) -> SessionManager[Any]:
        """Makes the manager. The options take the place of the suite's own."""
        ...
