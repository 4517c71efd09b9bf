"""The storage seam: the contract of a storage provider.

A provider stores documents. It sees keys and JSON text, never the Python type of a state. Every method takes a batch;
one document is a batch of one. Results come in the order of the arguments.

These rules hold for every method of every provider:

- A session is *live* until its ``expires_at``. Absent, deleted and expired sessions, and those that never existed, get
  the same answer: ``None`` or ``False``, never an error. The row of an expired session counts as absent.
- The clock is the storage's own (for a database, the database server's), unless the provider was given ``clock``.
- Each document is read and written as a whole and atomically. A batch is not a transaction: each document of the batch
  succeeds or fails by itself.
- An *access* slides the expiry: afterwards the session lives at least its TTL and at most 1.1 times its TTL, and never
  past its ``deadline``. An access never moves the expiry back, and writes only if it has to move the expiry.
- A fault of the storage raises StorageError. A schema that does not fit raises SchemaError. When a method raises, each
  document of the batch may or may not have been written, but none was written in part.
- A session has *items* beside its state: JSON texts that are kept character by character, in one or several logs.
  The positions of all logs are counted together. They start at 1, grow, and never come back, also after a removal.
  Items end with their session: a later session of the same key starts at position 1 and has none of them. A change of
  items is an access and sets ``updated_at``, and leaves the version alone.
- A change of items lands at most once, also if its answer was lost: the provider finds out whether it landed, and sends
  it again if it did not. If that cannot be told, it raises UpdateOutcomeUnknownError.
- Any other exception is a fault of the provider. A lone caller gets the exception as it was raised: the service chose
  the provider, so its exceptions are the service's own. Several callers of one write get an UpdateOutcomeUnknownError.
- All times are aware datetimes in UTC. Durations are exact to the microsecond.

The provider checks neither ids nor states: the manager has checked them.
"""

from __future__ import annotations

from typing import Any, Protocol, SupportsIndex, runtime_checkable

from ..batching import Batching
from .changes import Append, Edit, Edited, Found, LogNames, SeenItems
from .documents import Documents
from .items import NewItem, StoredItem, Window
from .logs import Logs
from .records import (
    Apply,
    Clock,
    Creation,
    Document,
    Draft,
    Fork,
    Key,
    Order,
    Owners,
    Page,
    Place,
    Purge,
    Stats,
    Summary,
    Use,
    Versions,
    Write,
    at_version,
    check_limit,
    check_use,
    owned,
)
from .upkeep import Upkeep

__all__ = [
    "Append",
    "Apply",
    "Clock",
    "Creation",
    "Document",
    "Draft",
    "Edit",
    "Edited",
    "Fork",
    "Found",
    "Key",
    "LogNames",
    "NewItem",
    "Order",
    "Owners",
    "Page",
    "Place",
    "Purge",
    "SeenItems",
    "Stats",
    "StorageProvider",
    "StoredItem",
    "Summary",
    "Use",
    "Versions",
    "Window",
    "Write",
    "at_version",
    "check_limit",
    "check_use",
    "owned",
]


@runtime_checkable
class StorageProvider(Documents, Logs, Upkeep, Protocol):
    """Stores sessions. The module's docstring has the rules that hold for every method.

    The methods are in three modules: documents, logs (the items of sessions), and upkeep. To write a provider, subclass
    this class and implement the methods whose bodies are ``...``. The methods on single keys are inherited.

    Attributes:
        batching: How concurrent updates are batched, see updates/loop.py; None: each update goes by itself.
    """

    batching: Batching | None = Batching()

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        raise TypeError(
            "a storage cannot be copied or pickled, because its connections belong to this process; call "
            "open_storage() with the same URL in the other process"
        )

    async def check(self, *, use: Use = "service") -> None:
        """Finds out whether the storage can be used as it is now: for the start of a service and its readiness probe.

        Connects, compares the tables with those that this version needs, and looks whether the role has the privileges
        for its use. Changes nothing. A provider that does not override this is asked for a session that nobody has.

        Args:
            use: What the storage is used for here. The reaper and those who only read need fewer privileges.

        Raises:
            StorageUnavailableError: The storage could not be reached, or takes no writes.
            StorageError: The role lacks a privilege; the message names it and the GRANT to run.
            SchemaError: The tables are missing, too old or too new, or another program changed them.
            ConfigurationError: There is no such use.
        """
        check_use(use)
        await self.exists(Key("sessionstore", "check"))

    async def close(self) -> None:
        """Closes the provider. A second call does nothing; any other call afterwards raises StorageError."""
        ...

    async def __aenter__(self) -> StorageProvider:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
