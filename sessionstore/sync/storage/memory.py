"""MemoryStorageProvider, for programs without asyncio."""

from __future__ import annotations

from ...batching import Batching
from ...storage.memory import MemoryStorageProvider as AsyncMemoryStorageProvider
from ...storage.records import Clock
from .provider import StorageProvider


class MemoryStorageProvider(StorageProvider):
    """Stores sessions in a dictionary.

    The sessions end with the process. A forked child has its own copy of them.

    No method awaits anything, and a lock admits one thread at a time. So each call is atomic, also when event loops
    in several threads share the storage.

    Args:
        clock: Returns the current time as an aware datetime in UTC; None: the clock of the process.
        batching: How concurrent updates are batched. No call of this provider waits, so batches rarely form.
    """

    def __init__(self, *, clock: Clock | None = None, batching: Batching | None = Batching()) -> None:  # noqa: B008
        super().__init__(AsyncMemoryStorageProvider(clock=clock, batching=batching))
