"""The update loop: read, apply, write under the version that was read, and again until it lands."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from .combine import Batch, Call, Combiner, refused
from .errors import SessionConflictError, SessionNotFoundError, StorageError
from .ids import short_id
from .storage import Document, Key, StorageProvider, Summary, Write

logger = logging.getLogger(__name__)

Make: TypeAlias = Callable[[Document], str]
"""Makes the new text of a document."""

OPTIMISTIC_ROUNDS: Final = 4
"""How many rounds are lost before the row is locked, so that nobody starves."""

_FIRST_PAUSE: Final = 0.002
_BATCH_CHARS: Final = 4_000_000
"""How much state is read or written together at most, unless a single state is more."""
_WORTHWHILE: Final = 16
"""How many sessions make a batch that goes beside another one: while one waits for the disk, the other computes."""
_SLICE: Final = 0.002
"""For how many seconds functions of callers are run before others in the event loop have a turn."""


class _Update:
    """What a caller wants to become of a document."""

    __slots__ = ("_context", "_expected_version", "_make")

    def __init__(self, make: Make, expected_version: int | None) -> None:
        self._make = make
        self._expected_version = expected_version
        self._context = copy_context()

    def apply(self, document: Document) -> str:
        """The new text of the document, made in the context of the caller."""
        key, actual = document.summary.key, document.summary.version
        if self._expected_version is not None and actual != self._expected_version:
            raise SessionConflictError(key.session_id, expected=self._expected_version, actual=actual)
        return self._context.run(self._make, document)


_Call: TypeAlias = Call[_Update, Summary]


class _Fold:
    """Updates of one document, applied one after the other as if each had been alone, and written once.

    Attributes:
        key: The document.
        calls: Those who want to change it, in their order.
    """

    def __init__(self, key: Key, calls: Sequence[_Call]) -> None:
        self.key = key
        self.calls = calls
        self._outcomes: list[tuple[_Call, int | BaseException]] = []
        self._read: Document | None = None
        self._write: Write | None = None

    def apply(self, document: Document) -> Write | None:
        """Applies all to a document; the write that it takes, or None where none of them came to anything."""
        read = document.summary.version
        self._read = document
        self._write = None
        self._outcomes = []
        for call in self.calls:
            if call.withdrawn or call.answered:
                continue
            try:
                state = call.request.apply(document)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is that caller's alone
                self._outcomes.append((call, error))
                continue
            summary = document.summary
            document = Document(state, summary._replace(version=summary.version + 1))
            self._outcomes.append((call, document.summary.version))
        if document.summary.version == read:
            # Nothing that they failed on is still to be written, so it can be told.
            self._tell(document.summary)
            return None
        self._write = Write(self.key, document.state, read, count=document.summary.version - read)
        return self._write

    def latest(self) -> Write | None:
        """The write of those who still wait for it: made anew, if anybody was cancelled since they were applied."""
        if self._read is not None and any(call.withdrawn for call, _ in self._outcomes):
            return self.apply(self._read)
        return self._write

    def written(self, summary: Summary) -> None:
        """Tells each what it came to, now that the others' changes it was applied to are there."""
        self._tell(summary)

    def missing(self) -> None:
        """Tells all who have no answer yet that there is no session."""
        for call in self.calls:
            call.answer(SessionNotFoundError(self.key.session_id))

    def _tell(self, summary: Summary) -> None:
        for call, outcome in self._outcomes:
            if isinstance(outcome, BaseException):
                call.answer(outcome)
            else:
                call.answer(summary if outcome == summary.version else summary._replace(version=outcome))


class UpdateLoop:
    """Applies functions to documents so that no update is ever lost.

    Optimistic first: nothing is locked while a function runs, and the write only lands on the version that was
    read. Losers pause for a random time that doubles with each round (full jitter), and whoever has lost
    OPTIMISTIC_ROUNDS of them takes the row lock, behind which waiters queue.

    Updates that arrive while others are under way go together: those of one session are applied in their order to what
    was read once, and written once; those of several share one read and one write. Each gets its own version, result
    or error, as if it had been alone.

    Args:
        storage: Where the documents are.
    """

    def __init__(self, storage: StorageProvider) -> None:
        self._storage = storage
        self._combiner: Combiner[Key, _Update, Summary] | None = None
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

    async def run(self, key: Key, make: Make, *, expected_version: int | None = None) -> Summary:
        """Applies a function to one document and returns what is then known of it.

        Args:
            key: The document.
            make: Makes the new text of the document read. Runs once a round, in the caller's context; what it raises
                comes through, and nothing is written for it.
            expected_version: The only version to write on; None: whichever is there.

        Raises:
            SessionNotFoundError: There is no live session.
            SessionConflictError: It is not at ``expected_version``.
            StorageError: The storage could not do it.
        """
        update = _Update(make, expected_version)
        if self._combiner is not None:
            return await self._combiner.call(key, update)
        call: _Call = Call(update)
        await self._send({key: (call,)})
        return call.outcome()

    async def _send(self, batch: Batch[Key, _Update, Summary]) -> None:
        folds = [_Fold(key, calls) for key, calls in batch.items()]
        for lost in range(OPTIMISTIC_ROUNDS):
            folds = await self._round(folds)
            if not folds:
                return
            for fold in folds:
                facts = {"session_id": short_id(fold.key.session_id), "lost": lost + 1}
                logger.debug("update lost a round", extra=facts)
            # Random to spread the losers, which needs no secrecy.
            await asyncio.sleep(random.uniform(0, _FIRST_PAUSE * 2**lost))  # noqa: S311
        await self._locked(folds)

    async def _round(self, folds: Sequence[_Fold]) -> list[_Fold]:
        """One round of reading, applying and writing; returns those that lost it to somebody else."""
        try:
            documents = await self._storage.get_many([fold.key for fold in folds], touch=False)
        except StorageError as error:
            await self._apart(folds, error)
            return []
        found = [len(document.state) for document in documents if document is not None]
        if found and self._combiner is not None:
            self._combiner.fit(sum(found) // len(found), _BATCH_CHARS)
        writes: list[tuple[_Fold, Write]] = []
        clock = asyncio.get_running_loop().time
        end = clock() + _SLICE
        for fold, document in zip(folds, documents, strict=True):
            if document is None:
                fold.missing()
            elif (write := fold.apply(document)) is not None:
                writes.append((fold, write))
            if clock() > end:
                await asyncio.sleep(0)
                end = clock() + _SLICE
        lost: list[_Fold] = []
        for part in _parts(writes):
            lost += await self._write(part)
        return lost

    async def _write(self, part: Sequence[_Fold]) -> list[_Fold]:
        """Writes; returns those that somebody else was faster for."""
        writes = [(fold, write) for fold in part if (write := fold.latest()) is not None]
        try:
            summaries = await self._storage.update_many([write for _, write in writes])
        except StorageError as error:
            await self._apart(part, error)
            return []
        lost: list[_Fold] = []
        for (fold, _), summary in zip(writes, summaries, strict=True):
            if summary is None:
                lost.append(fold)
            else:
                fold.written(summary)
        return lost

    async def _locked(self, folds: Sequence[_Fold]) -> None:
        by_key = {fold.key: fold for fold in folds}
        try:
            summaries = await self._storage.update_locked_many(
                list(by_key), lambda document: by_key[document.summary.key].apply(document)
            )
        except StorageError as error:
            await self._apart(folds, error)
            return
        for fold, summary in zip(folds, summaries, strict=True):
            if summary is not None:
                fold.written(summary)
            else:
                fold.missing()

    async def _apart(self, folds: Sequence[_Fold], error: StorageError) -> None:
        """Does one by one what was refused together: one is to blame, and the others are not to suffer.

        Raises:
            StorageError: It was not refused, but failed.
        """
        if not refused(error):
            raise error
        waiting = [(fold.key, call) for fold in folds for call in fold.calls if not call.answered]
        for key, call in waiting:
            if len(waiting) == 1:
                call.answer(error)
                return
            try:
                await self._send({key: (call,)})
            except StorageError as its_own:
                call.answer(its_own)


_LOOPS: Final[WeakValueDictionary[int, UpdateLoop]] = WeakValueDictionary()


def _parts(writes: Iterable[tuple[_Fold, Write]]) -> Iterable[list[_Fold]]:
    """Those who write, in parts that write at most _BATCH_CHARS."""
    part: list[_Fold] = []
    chars = 0
    for fold, write in writes:
        if part and chars + len(write.state) > _BATCH_CHARS:
            yield part
            part, chars = [], 0
        part.append(fold)
        chars += len(write.state)
    if part:
        yield part
