"""Landing: applies updates and writes them in one statement, under an optimistic lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..concurrency.pace import Pace
from ..concurrency.sent import Outdated, Sent, noting
from ..errors import SessionStoreError, UpdateOutcomeUnknownError
from ..storage import Document, StorageProvider, Summary
from .fold import Fold
from .write_cache import WriteCache


class Landing:
    """Applies updates and writes them.

    Args:
        storage: Where the documents are.
        write_cache: Remembers what was written.
        fit: Is called with the lengths of the states of a batch.
    """

    def __init__(self, storage: StorageProvider, write_cache: WriteCache, fit: Callable[[Sequence[int]], None]) -> None:
        self._storage = storage
        self._write_cache = write_cache
        self._fit = fit
        self._pace = Pace()

    async def applied(self, fold: Fold, document: Document, *, guess: bool = False) -> bool:
        """Applies updates to a document, with turns for other tasks. Returns whether there is something to write."""
        for _ in fold.apply(document, guess=guess):
            if not self._pace.free():
                await self._pace.turn()
        fold.finish()
        return fold.sure

    async def land(self, part: Sequence[Fold], *, guessed: bool = False) -> list[Fold]:
        """Writes applied updates in one statement. Returns the folds that did not land, or whose answer was lost.

        Raises:
            Exception: The storage refused the write, or failed before anything was written.
        """
        lost = await self._reapplied(part)
        landing = [(fold, fold.write) for fold in part if fold.sure and fold.write is not None]
        if not landing:
            return lost
        self._fit([fold.chars for fold, _ in landing])
        sent = Sent()
        for fold, _ in landing:
            self._write_cache.forget(fold.key)
            fold.sending(sent)
        foreign = ""
        summaries: Sequence[Summary | None] = ()
        try:
            with noting(sent):
                summaries = await self._storage.update_many([write for _, write in landing])
        except Outdated:
            for fold, _ in landing:
                fold.refused()
            return [*lost, *(fold for fold, _ in landing if fold.waiting)]
        except UpdateOutcomeUnknownError as error:
            for fold, _ in landing:
                fold.lose(error)
            return [*lost, *(fold for fold, _ in landing if fold.waiting)]
        except SessionStoreError:
            for fold, _ in landing:
                fold.refused()
            raise
        except Exception as error:
            if sum(fold.asked for fold in part) == 1:
                raise
            foreign = type(error).__name__
        if foreign:
            # Raised outside the except block: the text of the error may hold data of another caller, and the error
            # would become the context.
            raise UpdateOutcomeUnknownError(
                f"the storage failed with {foreign} in a write for several callers, and it is unknown "
                "whether this update landed; read the session before you repeat the update"
            )
        for (fold, _), summary in zip(landing, summaries, strict=True):
            if guessed:
                self._write_cache.guessed(fold.key, right=summary is not None)
            if summary is None:
                fold.refused()
                fold.losses += 1
                lost.append(fold)
            else:
                self.landed(fold, summary)
                if fold.waiting:  # some calls were left for the next write
                    lost.append(fold)
        return lost

    def landed(self, fold: Fold, summary: Summary) -> None:
        """Answers the calls of a write that landed, and puts the document into the write cache."""
        self._write_cache.wrote(fold.document(summary))
        fold.tell(summary)

    async def _reapplied(self, folds: Sequence[Fold]) -> list[Fold]:
        """Applies updates again if a caller was cancelled. Returns the folds that then have nothing to write."""
        lost: list[Fold] = []
        while outdated := [fold for fold in folds if fold.outdated]:
            for fold in outdated:
                for _ in fold.again():
                    if not self._pace.free():
                        await self._pace.turn()
                fold.finish()
        lost += [fold for fold in folds if not fold.sure and fold.waiting]
        return lost
