"""The update loop: read, apply, write under the version that was read, and again until it lands."""

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
from ..storage import Key, StorageProvider
from ..storage.journal import key_digest
from .contended import Contended
from .fold import UpdateCall
from .request import Make, Update, Updated
from .rounds import Rounds

_MIN_PARALLEL: Final = 4
"""How many sessions make a batch that goes beside another one: while one waits for the disk, the other computes."""


class UpdateLoop:
    """Applies functions to documents so that no update is ever lost.

    Optimistic first: nothing is locked while a function runs, and the write only lands on the version that was
    read. Losers pause for a random time that doubles with each round (full jitter), and whoever has lost several of
    them takes the row lock, behind which waiters queue.

    Updates that arrive while others are under way go together: those of one session are applied in their order to what
    was read once, and written once; those of several share one read and one write. Each gets its own version, result
    or error, as if it had been alone. Those of a session whose row somebody holds wait for it apart from the others.

    A busy session is not read again for each update: the next one begins with what this process wrote a moment ago. If
    somebody else wrote since, that does not land, and the session is read and the update applied again.

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
        """The one loop of a storage, so that the updates of all its managers go together."""
        # By identity; the loop holds the storage, so no other can take its place while it is here.
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
        timeout: timedelta | None = None,  # noqa: ASYNC109  # what it raises tells whether something was written
    ) -> Updated:
        """Applies a function to one document and returns what is then known of it.

        Args:
            key: The document.
            make: Makes the new text of the document read. Runs once a round, in the caller's context and task; what it
                raises comes through, and nothing is written for it.
            expected_version: The only version to write on; None: whichever is there.
            owner_id: Whose session it has to be: that of another owner is not found. None: anybody's.
            idempotency_key: What tells this update from any other of the session, if it is done again.
            keys: How many of these the session is to remember.
            timeout: How long to wait; None: for as long as it takes.

        Returns:
            What the write left, and the state that it wrote.

        Raises:
            AlreadyApplied: The session has seen the idempotency key.
            SessionNotFoundError: There is no live session.
            SessionConflictError: It is not at ``expected_version``.
            StorageError: The storage could not do it.
        """
        digest = None if idempotency_key is None else key_digest(idempotency_key)
        update = Update(make, expected_version, digest, keys, owner_id)
        running = self._alone(key, update) if self._combiner is None else self._combiner.call(key, update)
        return await (running if timeout is None else within(timeout, running, update.written))

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
    """There is no queue in which others of the session wait."""


_LOOPS: Final[WeakValueDictionary[int, UpdateLoop]] = WeakValueDictionary()
