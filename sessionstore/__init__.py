"""Conversation state for agent services, kept in PostgreSQL.

`SessionManager` keeps the state of each session by its id, and its items, the log of the conversation; `open_storage`
opens the storage; `OrchestrationStateManager` is a client of both; `Reaper` deletes expired sessions. Start with
README.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .batching import Batching
from .calls.reshaping import UpgradeReport
from .errors import (
    ConfigurationError,
    CorruptStateError,
    InvalidSessionIdError,
    InvalidStateError,
    ItemNotFoundError,
    SchemaError,
    SessionConflictError,
    SessionNotFoundError,
    SessionOwnerError,
    SessionStoreError,
    StateTooLargeError,
    StorageError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)
from .ids import SessionId
from .manager import SessionManager
from .orchestration import OrchestrationState, OrchestrationStateManager
from .reaper import Reaper, ReapProgress, ReapReport
from .session import Item, SessionInfo, SessionMetadata, SessionPage, SessionResult, SessionState
from .storage import StorageProvider
from .storage.memory import MemoryStorageProvider
from .storage.open import open_storage, register_storage
from .updates.replacement import ReplaceState

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
    # PEP 562: SQLAlchemy is loaded when a program names the SQL provider, not when it imports the package.
    if name == "SqlStorageProvider":
        from .storage.sql import SqlStorageProvider

        return SqlStorageProvider
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
