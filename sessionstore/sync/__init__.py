"""The names of `sessionstore`, for programs without asyncio: Django, Flask, Celery, scripts.

The same arguments, results and errors, as plain functions that any thread may call. One event loop, in a thread of its
own, does the calls of all threads of a process, so that calls that come at once go together. The thread starts with the
first call, and ends with the last open storage. docs/sync.md says more.

Functions that a service passes (update functions, `default_state`, upgrades, callbacks) run in the thread of the event
loop. They see the context variables of the caller, but not its thread-local values, and must not call this API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import (
    Batching,
    ConfigurationError,
    CorruptStateError,
    InvalidSessionIdError,
    InvalidStateError,
    Item,
    ItemNotFoundError,
    OrchestrationState,
    ReapProgress,
    ReapReport,
    ReplaceState,
    SchemaError,
    SessionConflictError,
    SessionId,
    SessionInfo,
    SessionMetadata,
    SessionNotFoundError,
    SessionOwnerError,
    SessionPage,
    SessionResult,
    SessionState,
    SessionStoreError,
    StateTooLargeError,
    StorageError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
    UpgradeReport,
    register_storage,
)
from .manager import SessionManager
from .orchestration import OrchestrationStateManager
from .reaper import Reaper
from .storage import StorageProvider
from .storage.memory import MemoryStorageProvider
from .storage.open import open_storage

if TYPE_CHECKING:
    from .storage.sql import SqlStorageProvider

__all__ = [
    "Batching",
    "ConfigurationError",
    "CorruptStateError",
    "InvalidSessionIdError",
    "InvalidStateError",
    "Item",
    "ItemNotFoundError",
    "MemoryStorageProvider",
    "OrchestrationState",
    "OrchestrationStateManager",
    "ReapProgress",
    "ReapReport",
    "Reaper",
    "ReplaceState",
    "SchemaError",
    "SessionConflictError",
    "SessionId",
    "SessionInfo",
    "SessionManager",
    "SessionMetadata",
    "SessionNotFoundError",
    "SessionOwnerError",
    "SessionPage",
    "SessionResult",
    "SessionState",
    "SessionStoreError",
    "SqlStorageProvider",
    "StateTooLargeError",
    "StorageError",
    "StorageProvider",
    "StorageUnavailableError",
    "UpdateOutcomeUnknownError",
    "UpgradeReport",
    "open_storage",
    "register_storage",
]


def __getattr__(name: str) -> Any:
    # As in sessionstore itself: SQLAlchemy is loaded when a program names the SQL provider.
    if name == "SqlStorageProvider":
        from .storage.sql import SqlStorageProvider

        return SqlStorageProvider
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
