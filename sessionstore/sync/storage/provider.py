"""StorageProvider, for programs without asyncio."""

from __future__ import annotations

from typing import Any, SupportsIndex

from ...batching import Batching
from ...errors import ConfigurationError
from ...storage import StorageProvider as AsyncStorageProvider
from ...storage import Use
from ..link import Link
from .documents import Documents
from .logs import Logs
from .upkeep import Upkeep


class StorageProvider(Documents, Logs, Upkeep):
    """A storage, for any thread.

    Connects at its first call in each process. Close it with ``close()``, or use it in ``with``. When the last storage
    of a process is closed, the event loop thread ends.

    Args:
        asynchronous: The provider that does the work. It may be used in event loops at the same time.

    Raises:
        ConfigurationError: The provider is not asynchronous.
    """

    def __init__(self, asynchronous: AsyncStorageProvider) -> None:
        given: object = asynchronous
        if isinstance(given, StorageProvider) or not isinstance(given, AsyncStorageProvider):
            raise ConfigurationError(
                f"sync.StorageProvider() takes a provider of the asynchronous API, not a {type(given).__name__}; "
                "to open a storage by its URL, call sync.open_storage()"
            )
        self.asynchronous = asynchronous
        self._link = Link()

    @property
    def batching(self) -> Batching | None:
        """How concurrent updates are batched; None: each update goes by itself."""
        return self.asynchronous.batching

    def check(self, *, use: Use = "service") -> None:
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
        self._run(self.asynchronous.check(use=use))

    def close(self) -> None:
        """Closes the provider. A second call does nothing; any other call afterwards raises StorageError."""
        self._link.close(self.asynchronous.close())

    def __enter__(self) -> StorageProvider:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return self.asynchronous.__reduce_ex__(protocol)


def reached(storage: StorageProvider | None) -> tuple[AsyncStorageProvider, Link]:
    """Returns the provider of a storage, and the link to the loop that runs it; None: of a new one in memory.

    Raises:
        ConfigurationError: The storage is one of the asynchronous API.
    """
    if storage is None:
        from .memory import MemoryStorageProvider  # a local import, because that module imports this one

        storage = MemoryStorageProvider()
    if not isinstance(storage, StorageProvider):
        raise ConfigurationError(
            f"sessionstore.sync takes a storage of sessionstore.sync.open_storage(), and not a "
            f"{type(storage).__name__}; sync.StorageProvider(storage) makes one of a provider of the asynchronous API"
        )
    return storage.asynchronous, storage._link  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
