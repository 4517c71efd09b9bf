"""The storage seam: the contract of a storage provider.

A provider stores documents. It sees keys and JSON text, never the Python type of a state. Every method takes a batch;
one document is a batch of one. Results come in the order of the arguments.

These rules hold for every method of every provider:

- A session is *live* until its ``expires_at``. For a session that is deleted or expired, or that never existed, a
  method answers ``None`` or ``False``, never with an error. The row of an expired session counts as absent.
- Times are taken from the storage's own clock (of a database: the server's), unless the provider was given ``clock``.
- Each document is read and written as a whole and atomically. A batch is not a transaction: each document of the batch
  succeeds or fails by itself.
- An *access* slides the expiry: afterwards the session lives at least its TTL and at most 1.1 times its TTL, and never
  past its ``deadline``. An access never moves the expiry back, and writes only if it has to move the expiry.
- A fault of the storage raises StorageError. A schema that does not fit raises SchemaError. When a method raises, each
  document of the batch may or may not have been written, but none was written in part.
- A session has *items* beside its state: JSON texts that are kept character by character, in one or several logs.
  Positions are counted for all logs of a session together. They start at 1 and grow, and the position of a removed item
  is never used again. Items are deleted with their session: a later session of the same key has no items, and starts at
  position 1. A change of items is an access and sets ``updated_at``. It does not change the version.
- A change of items lands at most once, also if its answer was lost: the provider finds out whether the change landed,
  and sends it again if it did not. If the provider cannot find out, it raises UpdateOutcomeUnknownError.
- Any other exception is a fault of the provider. A caller whose write went alone gets the exception as it was raised,
  because the service chose the provider. Callers that shared one write get an UpdateOutcomeUnknownError.
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
        batching: How concurrent updates are batched, see updates/loop.py; None: each update is sent by itself.
    """

    batching: Batching | None = Batching()

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        raise TypeError(
            "a storage cannot be copied or pickled, because its connections belong to this process; call "
            "open_storage() with the same URL in the other process"
        )

    async def check(self, *, use: Use = "service") -> None:
        """Checks whether the storage can be used now. For the start of a service and for its readiness probe.

        Connects, compares the tables with those that this version needs, and looks whether the role has the privileges
        for its use. Changes nothing. The default, for providers without such checks, reads a session that nobody has.

        Args:
            use: What the storage is used for here. The reaper and read-only clients need fewer privileges.

        Raises:
            StorageUnavailableError: The storage could not be reached, or takes no writes.
            StorageError: The role lacks a privilege; the message names it and the GRANT to run.
            SchemaError: The tables are missing, too old or too new, or another program changed them.
            ConfigurationError: ``use`` is not one of the values of `Use`.
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
