"""The update loop: read, apply, write under the version that was read, and again until it lands."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final
from weakref import WeakValueDictionary

from .batching import BATCH_CHARS
from .call import Batch, Call, twin
from .combine import Combiner
from .deadline import within
from .errors import StorageError, StorageUnavailableError, UpdateOutcomeUnknownError
from .fold import Fold, Make, Update, UpdateCall
from .ids import short_id
from .journal import key_digest
from .patience import Patience
from .recent import Recent
from .storage import Key, StorageProvider, Summary

logger = logging.getLogger(__name__)

OPTIMISTIC_ROUNDS: Final = 4
"""How many rounds are lost before the row is locked, so that nobody starves."""

_FIRST_PAUSE: Final = 0.002
_WORTHWHILE: Final = 4
"""How many sessions make a batch that goes beside another one: while one waits for the disk, the other computes."""
_SLICE: Final = 0.002
"""For how many seconds functions of callers are run before others in the event loop have a turn."""


class UpdateLoop:
    """Applies functions to documents so that no update is ever lost.

    Optimistic first: nothing is locked while a function runs, and the write only lands on the version that was
    read. Losers pause for a random time that doubles with each round (full jitter), and whoever has lost
    OPTIMISTIC_ROUNDS of them takes the row lock, behind which waiters queue.

    Updates that arrive while others are under way go together: those of one session are applied in their order to what
    was read once, and written once; those of several share one read and one write. Each gets its own version, result
    or error, as if it had been alone.

    A busy session is not read again for each update: the next one begins with what this process wrote a moment ago. If
    somebody else wrote since, that does not land, and the session is read and the update applied again.

    Args:
        storage: Where the documents are.
    """

    def __init__(self, storage: StorageProvider) -> None:
        self._storage = storage
        self._recent = Recent(0 if storage.batching is None else storage.batching.remember)
        self._combiner: Combiner[Key, Update, Summary] | None = None
        if (batching := storage.batching) is not None:
            self._combiner = Combiner(
                self._send, size=batching.size, places=batching.places, worthwhile=_WORTHWHILE, alone=True
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
    ) -> Summary:
        """Applies a function to one document and returns what is then known of it.

        Args:
            key: The document.
            make: Makes the new text of the document read. Runs once a round, in the caller's context; what it raises
                comes through, and nothing is written for it.
            expected_version: The only version to write on; None: whichever is there.
            owner_id: Whose session it has to be: that of another owner is not found. None: anybody's.
            idempotency_key: What tells this update from any other of the session, if it is done again.
            keys: How many of these the session is to remember.
            timeout: How long to wait; None: for as long as it takes.

        Raises:
            AlreadyApplied: The session has seen the idempotency key.
            SessionNotFoundError: There is no live session.
            SessionConflictError: It is not at ``expected_version``.
            StorageError: The storage could not do it.
        """
        digest = None if idempotency_key is None else key_digest(idempotency_key)
        update = Update(make, expected_version, digest, keys, owner_id)
        running = self._alone(key, update) if self._combiner is None else self._combiner.call(key, update)
        return await (running if timeout is None else within(timeout, running, lambda: update.sent))

    async def _alone(self, key: Key, update: Update) -> Summary:
        call: UpdateCall = Call(update)
        await self._send({key: (call,)})
        return call.outcome()

    async def _send(self, batch: Batch[Key, Update, Summary]) -> None:
        folds = [Fold(key, calls) for key, calls in batch.items()]
        guessed = self._guess(folds)
        patience: Patience | None = None
        lost = 0
        while folds:
            try:
                if guessed:
                    folds = await self._write(folds, guessed=True)
                elif lost < OPTIMISTIC_ROUNDS:
                    folds = await self._round(folds)
                else:
                    folds = await self._locked(folds)
            except StorageUnavailableError as error:
                folds = _left_open(folds, error)
            if guessed:
                guessed = False
                continue
            if patience is None and any(fold.unsettled for fold in folds):
                patience = Patience()
            if patience is not None:
                if patience.over:
                    folds = _given_up(folds)
                elif folds:
                    await patience.pause()
            lost += 1
            if folds and patience is None and lost <= OPTIMISTIC_ROUNDS:
                for fold in folds:
                    facts = {"session_id": short_id(fold.key.session_id), "lost": lost}
                    logger.debug("update lost a round", extra=facts)
                # Random to spread the losers, which needs no secrecy.
                await asyncio.sleep(random.uniform(0, _FIRST_PAUSE * 2 ** (lost - 1)))  # noqa: S311

    async def _round(self, folds: Sequence[Fold]) -> list[Fold]:
        """One round of reading, applying and writing; returns those that lost it to somebody else."""
        try:
            journal = any(fold.needs_journal for fold in folds)
            documents = await self._storage.get_many([fold.key for fold in folds], touch=False, journal=journal)
        except StorageError as error:
            await self._apart(folds, error)
            return []
        if self._combiner is not None:
            self._combiner.fit([len(document.state) for document in documents if document is not None], BATCH_CHARS)
        writing: list[Fold] = []
        clock = asyncio.get_running_loop().time
        end = clock() + _SLICE
        for fold, document in zip(folds, documents, strict=True):
            if document is None:
                fold.missing()
            elif fold.apply(document) is not None:
                writing.append(fold)
            if clock() > end:
                await asyncio.sleep(0)
                end = clock() + _SLICE
        return await self._write(writing)

    def _guess(self, folds: Sequence[Fold]) -> bool:
        """Applies all to what this process wrote a moment ago; whether that can be written without reading first."""
        guesses = [(fold, self._recent.guess(fold.key)) for fold in folds]
        return all(document is not None and fold.guess(document) for fold, document in guesses)

    async def _write(self, folds: Sequence[Fold], *, guessed: bool = False) -> list[Fold]:
        """Writes what was applied; returns those that somebody else was faster for."""
        lost: list[Fold] = []
        for part in _parts(folds):
            writes = [(fold, fold.sending()) for fold in part]
            lost += [fold for fold, write in writes if write is None and fold.waiting]
            landing = [(fold, write) for fold, write in writes if write is not None]
            for fold, _ in landing:
                self._recent.forget(fold.key)
            try:
                summaries = await self._storage.update_many([write for _, write in landing])
            except UpdateOutcomeUnknownError as error:
                for fold, _ in landing:
                    fold.lose(error)
                lost += [fold for fold, _ in landing if fold.waiting]
                continue
            except StorageError as error:
                for fold, _ in landing:
                    fold.refused()
                if guessed and error.refused:
                    lost += part  # what was refused was made of a guess
                else:
                    await self._apart(part, error)
                continue
            for (fold, _), summary in zip(landing, summaries, strict=True):
                if guessed:
                    self._recent.guessed(right=summary is not None)
                if summary is None:
                    fold.refused()
                    lost.append(fold)
                else:
                    self._recent.wrote(fold.document(summary))
                    fold.tell(summary)
        return lost

    async def _locked(self, folds: Sequence[Fold]) -> list[Fold]:
        """Does it under row locks; returns those whose answer was lost."""
        by_key = {fold.key: fold for fold in folds}
        for fold in folds:
            fold.reset()
        try:
            summaries = await self._storage.update_locked_many(
                list(by_key), lambda document: by_key[document.summary.key].apply_to_write(document)
            )
        except UpdateOutcomeUnknownError as error:
            for fold in folds:
                fold.lose(error)
            return [fold for fold in folds if fold.waiting]
        except StorageError as error:
            for fold in folds:
                fold.refused()
            await self._apart(folds, error)
            return []
        for fold, summary in zip(folds, summaries, strict=True):
            if summary is not None:
                fold.tell(summary)
            else:
                fold.missing()
        return []

    async def _apart(self, folds: Sequence[Fold], error: StorageError) -> None:
        """Does one by one what was refused together: one is to blame, and the others are not to suffer.

        Raises:
            StorageError: It was not refused, but failed.
        """
        if not error.refused:
            raise error
        # What was lost and may have landed is not to be begun anew.
        folds = _given_up(folds)
        waiting = [(fold.key, call) for fold in folds for call in fold.calls if not call.answered]
        for key, call in waiting:
            if len(waiting) == 1:
                call.answer(error)
                return
            try:
                await self._send({key: (call,)})
            except StorageError as its_own:
                call.answer(its_own)


def _left_open(folds: Iterable[Fold], error: StorageError) -> list[Fold]:
    """Tells the error to all but those whose write was lost: theirs can still be told. Returns these."""
    unsettled: list[Fold] = []
    for fold in folds:
        if fold.unsettled:
            unsettled.append(fold)
        else:
            for call in fold.calls:
                call.answer(twin(error))
    return unsettled


def _given_up(folds: Iterable[Fold]) -> list[Fold]:
    """Tells those whose write was lost that it cannot be told; returns the others."""
    others: list[Fold] = []
    for fold in folds:
        if fold.unsettled:
            fold.give_up()
        else:
            others.append(fold)
    return others


_LOOPS: Final[WeakValueDictionary[int, UpdateLoop]] = WeakValueDictionary()


def _parts(folds: Iterable[Fold]) -> Iterable[list[Fold]]:
    """Those who write, in parts that write at most BATCH_CHARS."""
    part: list[Fold] = []
    chars = 0
    for fold in folds:
        if part and chars + fold.chars > BATCH_CHARS:
            yield part
            part, chars = [], 0
        part.append(fold)
        chars += fold.chars
    if part:
        yield part
