"""What the tests of the suite are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from sessionstore import SessionManager, StorageProvider
from sessionstore.storage import Clock

MakeProvider: TypeAlias = Callable[[Clock], StorageProvider]
"""Makes a provider on the sessions of the test, whose time the clock gives."""

OpenAnother: TypeAlias = Callable[[], Awaitable[StorageProvider]]
"""Opens another provider on the sessions of the test; the same one, if the provider is not SHARED."""

Restore: TypeAlias = Callable[[], None]
"""Puts back what was there."""

Saved: TypeAlias = Callable[[], Restore]
"""Notes the content of the storage; what it returns puts that back, as the restore of a backup does."""


class Managed(Protocol):
    """Makes a manager on the test's storage, or on another one."""

    def __call__(self, storage: StorageProvider = ..., **options: Any) -> SessionManager[Any]:
        """Makes it with these options in place of the suite's."""
        ...
