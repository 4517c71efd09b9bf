"""UpdateLoop: takes updates, sends them in batches, and waits for their results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final
from weakref import WeakValueDictionary

from ..batching import BATCH_CHARS
from ..concurrency.call import Batch, Call
from ..concurrency.combine import Combiner
from ..concurrency.deadline import within
from ..concurrency.loops import PerLoop
from ..storage import Document, Key, NewItem, StorageProvider
from ..storage.journal import key_digest
from .attempt import UpdateCall
from .contended import Contended
from .request import Make, Update, Updated
from .rounds import Rounds

_MIN_PARALLEL: Final = 4
"""The fewest sessions of a batch that is sent beside another batch. One computes while the other waits for the disk."""


class UpdateLoop:
    """Applies functions to documents so that no update is lost.

    Optimistic lock: no row is locked while a function runs, and a write lands only on the version that was read. After
    a conflict the update is retried with exponential backoff and full jitter. After several conflicts it takes the row
    lock, behind which waiters queue.

    Updates that arrive during a batch form the next batch. Updates of one session are applied in order to one read and
    written once; different sessions share one read and one write. Each update gets its own version, result or error. An
    update of a session whose row another transaction holds waits apart from the batches.

    Write cache: the next update of a session begins with the state that this process wrote last. If another process
    wrote since, the write does not land. Then the session is read, and the update is applied again.

    Args:
        storage: Where the documents are.
    """

    def __init__(self, storage: StorageProvider) -> None:
        self._storage = storage
        self._here = PerLoop(self._begin)
        self._combiner: Combiner[Key, Update, Updated] | None = None
        if (batching := storage.batching) is not None:
            self._combiner = Combiner(
                self._send,
                size=batching.size,
                concurrency=batching.concurrency,
                min_parallel=_MIN_PARALLEL,
                alone=True,
                weighed=True,
            )

    @classmethod
    def of(cls, storage: StorageProvider) -> UpdateLoop:
        """Returns the loop of a storage. All managers of the storage share the loop, so that updates share batches."""
        # By id(), which cannot be reused while the loop is registered, because the loop refers to the storage.
        loop = _LOOPS.get(id(storage))
        if loop is None:
            loop = _LOOPS[id(storage)] = cls(storage)
        return loop

    async def run(
        self,
        key: Key,
        make: Make,
        *,
        expected_version: int | None = None,
        owner_id: str | None = None,
        idempotency_key: str | None = None,
        keys: int = 0,
        items: Sequence[NewItem] = (),
        keep: int | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109  # its error says whether something was written
    ) -> Updated:
        """Applies a function to one document and returns the result.

        Args:
            key: The document.
            make: Makes the new text of the document. Runs once a round, in the caller's context and task. An exception
                from it is raised here, and the update is not written.
            expected_version: The only version to write on; None: any.
            owner_id: Only this owner's session is found. None: any session.
            idempotency_key: Identifies this update within the session, in case it is delivered again.
            keys: How many idempotency keys the session keeps.
            items: The items to append. They land with the update, or not at all.
            keep: How many items each log in ``items`` keeps; None: all.
            timeout: How long to wait; None: for as long as it takes.

        Returns:
            The facts about the session after the write, the new state, and the positions of the items.

        Raises:
            AlreadyApplied: The session has seen the idempotency key.
            SessionNotFoundError: There is no live session.
            SessionConflictError: The session is not at ``expected_version``.
            StorageError: The storage failed.
        """
        digest = None if idempotency_key is None else key_digest(idempotency_key)
        update = Update(make, expected_version, digest, keys, owner_id, items, keep)
        running = self._alone(key, update) if self._combiner is None else self._combiner.call(key, update)
        return await (running if timeout is None else within(timeout, running, update.written))

    def remember(self, document: Document) -> None:
        """Puts a document that was just read into the write cache, because its reader is about to update it."""
        self._here.here().write_cache.read_for_update(document)

    async def _alone(self, key: Key, update: Update) -> Updated:
        call: UpdateCall = Call(update)
        await self._send({key: (call,)})
        return await call.told()

    async def _send(self, batch: Batch[Key, Update, Updated]) -> Collection[Key] | None:
        return await self._here.here().send(batch)

    def _begin(self) -> Rounds:
        batching, combiner = self._storage.batching, self._combiner
        contended = Contended(self._storage, _ignore if combiner is None else combiner.release)
        contended.rounds = Rounds(
            self._storage,
            remember=0 if batching is None else batching.remember,
            fit=self._fit,
            hand_over=contended.add,
            held=contended.holds,
        )
        return contended.rounds

    def _fit(self, weights: Sequence[int]) -> None:
        if self._combiner is not None:
            self._combiner.fit(weights, BATCH_CHARS)


def _ignore(_: Key) -> None:
    """Replaces Combiner.release() if there is no combiner, and so no queue."""


_LOOPS: Final[WeakValueDictionary[int, UpdateLoop]] = WeakValueDictionary()
