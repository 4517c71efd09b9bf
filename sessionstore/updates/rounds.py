"""Rounds: reads, applies and writes a batch of updates under an optimistic lock, and retries with backoff."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from time import monotonic
from typing import Final

from ..concurrency import halves
from ..concurrency.call import Batch, copy_of, tell
from ..concurrency.halves import divisible
from ..concurrency.retry_window import RetryWindow
from ..errors import SessionStoreError, StorageUnavailableError, UpdateOutcomeUnknownError
from ..ids import short_id
from ..storage import Document, Key, StorageProvider
from .fold import Fold
from .landing import Landing
from .request import Update, Updated
from .shares import halves_of, parts
from .write_cache import WriteCache

logger = logging.getLogger(__name__)

OPTIMISTIC_ROUNDS: Final = 4
"""After this many conflicts an update takes the row lock, so that it does not starve."""

_FIRST_PAUSE: Final = 0.002

CANCELLED: Final = (
    "the task that wrote for several callers was cancelled, and the write may or may not have landed; "
    "read the session before you repeat the update"
)


class Rounds:
    """Does a batch of updates. Hands over updates whose rows other transactions hold or keep writing.

    Attributes:
        landing: Applies and writes the updates of a round.
        write_cache: The documents that this process wrote or read a moment ago.

    Args:
        storage: Where the documents are.
        remember: For how many seconds an update may begin with the write cache.
        fit: Is called with the lengths of the states of a batch.
        hand_over: Takes updates over.
        held: Whether updates of a session were handed over. Later updates of the session queue behind them.
    """

    def __init__(
        self,
        storage: StorageProvider,
        *,
        remember: float,
        fit: Callable[[Sequence[int]], None],
        hand_over: Callable[[Iterable[Fold]], None],
        held: Callable[[Key], bool],
    ) -> None:
        self._storage = storage
        self.write_cache = WriteCache(remember)
        self._fit = fit
        self.landing = Landing(storage, self.write_cache, fit)
        self._hand_over = hand_over
        self._held = held

    async def send(self, batch: Batch[Key, Update, Updated]) -> Collection[Key] | None:
        """Does the updates of a batch. Returns the keys whose updates were handed over; None: there are none."""
        await self.run([Fold(key, calls) for key, calls in batch.items()])
        return [key for key in batch if self._held(key)] or None

    async def run(self, folds: list[Fold]) -> None:
        """Does updates and answers their calls, except updates that were handed over."""
        try:
            behind = [fold for fold in folds if self._held(fold.key)]
            if behind:
                self._hand_over(behind)
                folds = [fold for fold in folds if fold not in behind]
            await self._run(folds)
        except asyncio.CancelledError:
            for fold in folds:
                for call in fold.open:
                    if call.request.written():
                        call.answer(UpdateOutcomeUnknownError(CANCELLED))
            raise
        except Exception as error:  # noqa: BLE001  # any error is the answer of the callers
            tell([call for fold in folds for call in fold.calls], error)

    async def _run(self, folds: list[Fold]) -> None:
        guessed = await self._guess(folds)
        window: RetryWindow | None = None
        lost = 0
        while folds:
            try:
                folds = await (self.write(folds, guessed=True) if guessed else self._round(folds))
            except StorageUnavailableError as error:
                folds = left_open(folds, error)
            if guessed:
                guessed = False
                continue
            if window is None and any(fold.unsettled for fold in folds):
                window = RetryWindow()
            if window is not None:
                if window.over:
                    folds = given_up(folds)
                elif folds:
                    await window.pause()
            lost += 1
            folds = self._hand_over_beaten(folds)
            if folds and window is None:
                # Random, so that callers in conflict do not retry together. It need not be secure.
                await asyncio.sleep(random.uniform(0, _FIRST_PAUSE * 2 ** (lost - 1)))  # noqa: S311

    def _hand_over_beaten(self, folds: Sequence[Fold]) -> list[Fold]:
        """Hands over the updates that have lost too often, which then take the row lock. Returns the others."""
        for fold in folds:
            if fold.losses:
                facts = {"session_id": short_id(fold.key.session_id), "lost": fold.losses}
                logger.debug("update lost a round", extra=facts)
        losers = [fold for fold in folds if beaten(fold)]
        if losers:
            self._hand_over(losers)
        return [fold for fold in folds if not beaten(fold)]

    async def _round(self, folds: Sequence[Fold]) -> list[Fold]:
        """Reads, applies and writes once. Returns the updates that did not land because another caller wrote."""
        try:
            documents = await self.read(folds)
        except Exception as error:  # noqa: BLE001
            await self._bisect(folds, error)
            return []
        writing: list[Fold] = []
        held: list[Fold] = []
        for fold, document in zip(folds, documents, strict=True):
            self.write_cache.read(fold.key, document)
            if document is None:
                fold.missing()
            elif fold.losses and fold.fits(document):
                held.append(fold)
            elif await self.landing.applied(fold, document):
                writing.append(fold)
        lost = await self.write(writing)
        if held:
            # The session did not change, and yet the write did not land: another transaction holds the row. Handed over
            # last, because an error of the write above is the answer of all updates of the round.
            self._hand_over(held)
        return lost

    async def read(self, folds: Sequence[Fold]) -> Sequence[Document | None]:
        """Reads the documents of updates. This is no access."""
        journal = any(fold.needs_journal for fold in folds)
        documents = await self._storage.get_many([fold.key for fold in folds], touch=False, journal=journal)
        self._fit([len(document.state) for document in documents if document is not None])
        return documents

    async def _guess(self, folds: Sequence[Fold]) -> bool:
        """Applies updates to the documents of the write cache; returns whether all can be written without a read."""
        documents = self.write_cache.guesses([fold.key for fold in folds])
        if not documents or not all(map(Fold.may_guess, folds, documents)):
            return False
        for fold, document in zip(folds, documents, strict=True):
            if not await self.landing.applied(fold, document, guess=True):
                return False
        return True

    async def write(self, folds: Sequence[Fold], *, guessed: bool = False) -> list[Fold]:
        """Writes the applied updates in parts. Returns the updates that did not land because another caller wrote."""
        lost: list[Fold] = []
        for part in parts(folds):
            try:
                lost += await self.landing.land(part, guessed=guessed)
            except Exception as error:  # noqa: BLE001
                # After an error from outside the library, nobody knows whether the write landed.
                if guessed and isinstance(error, SessionStoreError) and divisible(error):
                    lost += part  # the next round reads the session, and may make another state
                else:
                    await self._bisect(part, error)
        return lost

    async def _bisect(self, folds: Sequence[Fold], error: Exception) -> None:
        """Bisects updates that were refused together, so that only the refused one fails.

        Raises:
            Exception: The error is no refusal.
        """
        if not divisible(error):
            raise error
        # Cancelled calls are counted too, because the refused call may be one of them.
        asked = sum(fold.asked for fold in folds)
        # A lost write that may have landed is not applied again.
        folds = given_up(folds)
        end = folds[0].halved_until or monotonic() + halves.SECONDS if folds else 0.0
        if asked <= 1 or monotonic() > end:
            tell([call for fold in folds for call in fold.calls], error)
            return
        for share in halves_of(folds, end):
            await self.run(share)


def beaten(fold: Fold) -> bool:
    """Whether the updates had so many conflicts that they take the row lock."""
    return fold.losses >= OPTIMISTIC_ROUNDS


def left_open(folds: Iterable[Fold], error: Exception) -> list[Fold]:
    """Answers updates with an error, except updates of lost writes. Returns those: a lookup may still settle them."""
    unsettled: list[Fold] = []
    for fold in folds:
        if fold.unsettled:
            unsettled.append(fold)
        else:
            for call in fold.calls:
                call.answer(copy_of(error))
    return unsettled


def given_up(folds: Iterable[Fold]) -> list[Fold]:
    """Tells the callers of lost writes that the outcome is unknown. Returns the folds in which calls still wait."""
    folds = list(folds)
    for fold in folds:
        fold.give_up()
    return [fold for fold in folds if fold.waiting]
