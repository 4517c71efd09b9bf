"""The memory provider, for tests and demos. It is the reference that the other providers are tested against."""

from __future__ import annotations

from collections.abc import Callable, Collection
from threading import RLock
from typing import TypeVar

from ...batching import Batching
from ...concurrency.forks import forget_in_children
from .. import Clock, Key
from ..transacted import Sessions, TransactedStorageProvider

T = TypeVar("T")


class MemoryStorageProvider(TransactedStorageProvider):
    """Stores sessions in a dictionary.

    The sessions end with the process. A forked child has its own copy of them.

    No method awaits anything, and a lock admits one thread at a time. So each call is atomic, also when event loops
    in several threads share the storage.

    Args:
        clock: Returns the current time as an aware datetime in UTC; None: the clock of the process.
        batching: How concurrent updates are batched. No call of this provider waits, so batches rarely form.
    """

    def __init__(self, *, clock: Clock | None = None, batching: Batching | None = Batching()) -> None:  # noqa: B008
        super().__init__(clock=clock, batching=batching)
        self._documents = Sessions()
        self._lock = RLock()
        forget_in_children(self)

    def forget_parent(self) -> None:
        """Replaces the lock in a forked child, which does not have the thread that may hold the lock."""
        self._lock = RLock()

    async def transact(self, work: Callable[[Sessions], T], keys: Collection[Key] | None) -> T:
        with self._lock:
            return work(self._documents)

    async def close(self) -> None:
        with self._lock:
            await super().close()
            self._documents.clear()
            self._documents.logs.clear()
