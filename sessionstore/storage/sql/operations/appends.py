"""Batches the appends of concurrent callers: appends to one session become one, and sessions share statements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from typing import Final, Literal, NamedTuple, TypeAlias

from ....batching import Batching, divided
from ....concurrency.call import Batch, Call, tell
from ....concurrency.combine import Combiner
from ....concurrency.halves import divisible, in_parts
from ....concurrency.loops import PerLoop
from ....concurrency.retry_window import until_told
from ....concurrency.sent import Outdated, Sent, SentTogether, noted, noting
from ....errors import StorageUnavailableError
from ... import Append, Document, Key, Summary
from ...harvest import Harvest
from ...items import chars_of
from ...journal import new_write_id
from ..faults import LOCK_NOT_AVAILABLE
from ..statements.rows import document_of
from .landing import Landing
from .reads import Reads
from .rounds import Rounds

_MISSES: Final = 4
"""After each four attempts that did not land, an append waits for the lock of the row, so that it does not starve."""

_MIN_PARALLEL: Final = 4
"""The smallest batch, in sessions, that runs beside another batch while that one waits for the disk."""

_LAST_POSITION: Final = Summary._fields.index("last_position")
"""From this field on, the summaries of the callers of one write differ. The fields before it are the same for all."""

# Skips _replace() of named tuples, which takes three times as long.
_new = tuple.__new__


class _Missed(Enum):
    """The answer to an append that did not land in its batch."""

    MISSED = auto()


_Answer: TypeAlias = Summary | Literal[_Missed.MISSED]


class _Asked(NamedTuple):
    """A caller's append, and the record of whether it was sent (None: the caller needs no record)."""

    append: Append
    sent: Sent | None


_AppendCall: TypeAlias = Call[_Asked, _Answer]


class Appends:
    """Appends items, alone or together with concurrent callers.

    The appends of a session that arrive during a batch form one append of the next batch, in the order of the calls. A
    refused append, a held row, a deadline or a cancellation affects its own caller only.

    Args:
        landing: Makes the landing of a batch, which lands each append at most once.
        reads: Reads sessions, and finds the rows that other transactions hold.
        batching: The limits of batches.
    """

    def __init__(self, landing: Callable[..., Landing], reads: Reads, *, batching: Batching) -> None:
        self._landing = landing
        self._reads = reads
        self._lock = PerLoop(partial(asyncio.Semaphore, 1))
        self._combiner: Combiner[Key, _Asked, _Answer] = Combiner(
            self._send,
            size=batching.size,
            concurrency=batching.concurrency,
            min_parallel=_MIN_PARALLEL,
            alone=True,
        )

    async def append_many(self, appends: Sequence[Append]) -> Sequence[Summary | None]:
        """Implements StorageProvider.append_many()."""
        if len(appends) == 1:
            return [await self.append(appends[0])]
        return await asyncio.gather(*map(self.append, appends))

    async def append(self, append: Append) -> Summary | None:
        """Implements StorageProvider.append()."""
        sent = noted()
        if sent is not None:
            sent.begin()
        rounds: Rounds | None = None
        misses = 0
        absent = False
        while True:
            # Another transaction may be inserting the absent session. So the append waits in a transaction of its own:
            # before its COMMIT, nothing can have landed.
            alone = self._alone(append, sent) if absent else None
            answer = await (alone or self._combiner.call(append.key, _Asked(append, sent)))
            if answer is not _Missed.MISSED:
                return answer
            document = next(map(document_of, await self._reads.read([append.key], journal=True)), None)
            if _refuses(append, document):
                return None
            absent = document is None
            # Another transaction holds the row, or changed it a moment ago. This caller waits apart from the batches.
            # If an earlier answer was lost, the old id cannot land any more. So the append gets a new id.
            append = append.anew()
            rounds = rounds or Rounds(self._reads.held)
            await rounds.until_free([append.key], unwritten=True)
            misses += 1
            if not (absent or misses % _MISSES):
                # Callers queue for the lock of the row, so that no append starves.
                async with self._lock.here():
                    answer = await self._alone(append, sent, waiting=True)
                if answer is not _Missed.MISSED:
                    return answer

    async def _alone(self, append: Append, sent: Sent | None, *, waiting: bool = False) -> _Answer:
        """Appends in a transaction of its own.

        Args:
            append: The append.
            sent: The record of whether it was sent; None: the caller needs no record.
            waiting: Whether the transaction waits for the lock of the row.

        Returns:
            MISSED: the lock was not free in time, or the append does not land on the session.
        """
        landing = self._landing({append.key: append}, waiting=waiting, in_transaction=True)
        try:
            with noting(sent or Sent()):
                await until_told(landing.attempt)
        except StorageUnavailableError as error:
            if error.code != LOCK_NOT_AVAILABLE:
                raise
        landed = landing.results.get(append.key)
        if isinstance(landed, Exception):
            raise landed
        return _Missed.MISSED if landed is None else landed

    async def _send(self, batch: Batch[Key, _Asked, _Answer]) -> None:
        await in_parts(batch, self._do)

    async def _do(self, batch: Batch[Key, _Asked, _Answer]) -> None:
        # The groups are made anew for each statement: callers that were cancelled meanwhile are left out.
        while groups := [group for calls in batch.values() if (group := _group(calls)) is not None]:
            part = next(divided(groups, _chars))
            try:
                await self._do_part(part)
            except Outdated:
                continue
            except Exception as error:
                if len(part) > 1 or len(part[0].calls) == 1 or not divisible(error):
                    raise
                await self._do_apart(part[0])

    async def _do_apart(self, group: Group) -> None:
        """Sends the appends of a refused group one by one, so that only an append that is refused by itself fails."""
        for call in group.calls:
            alone = _group([call])
            if alone is not None:
                try:
                    await self._do_part([alone])
                except Exception as error:  # noqa: BLE001  # any error is the answer of the caller
                    tell([call], error)

    async def _do_part(self, groups: Sequence[Group]) -> None:
        appends = {group.key: group.append for group in groups}
        sents = [call.request.sent for group in groups for call in group.calls]
        with noting(SentTogether(sent for sent in sents if sent is not None)):
            landing = self._landing(appends)
            try:
                await until_told(landing.attempt)
            except Exception:
                # Some of the appends may have landed before an attempt with others failed.
                for group in groups:
                    if group.key in landing.results:
                        group.tell(landing.results[group.key])
                raise
        for group in groups:
            group.tell(landing.results.get(group.key))


def _refuses(append: Append, document: Document | None) -> bool:
    """Whether the session is gone, has another owner or position, or keeps the idempotency key."""
    if document is None:
        return not append.creates
    return not append.suits(document.summary, document.journal.keys if document.journal else "")


class Group(NamedTuple):
    """Appends of one session that land as one.

    Attributes:
        key: The session.
        calls: The calls of the callers, in order.
        append: The append that stands for all.
        places: For each call, the index of each of its items in the append; None: an earlier call has the item's id.
    """

    key: Key
    calls: Sequence[_AppendCall]
    append: Append
    places: Sequence[Sequence[int | None]]

    def tell(self, landed: Summary | Exception | None) -> None:
        """Answers the calls.

        Args:
            landed: The session after the append; None: the append did not land.
        """
        if landed is None or isinstance(landed, Exception):
            for call in self.calls:
                if landed is None and call.request.sent is not None:
                    call.request.sent.refuse()
                call.answer(_Missed.MISSED if landed is None else landed)
            return
        if len(self.calls) == 1:
            self.calls[0].answer(landed)
            return
        last, count = landed.last_position, landed.item_count
        # Backwards, because each caller sees the session as its own append left it, without the later ones.
        summaries: list[Summary] = []
        for places in reversed(self.places):
            each = _chosen(landed.appended, places)
            summaries.append(_new(Summary, (*landed[:_LAST_POSITION], last, count, each, False)))
            taken = len(each) - each.count(None)
            last -= taken
            if self.append.keep is None:
                count -= taken
        created = landed.created
        for call, summary in zip(self.calls, reversed(summaries), strict=True):
            call.answer(summary._replace(created=True) if created else summary)
            created = False


def _chosen(appended: Sequence[int | None], places: Sequence[int | None]) -> Sequence[int | None]:
    """Returns the positions of the items of one call; None: an earlier call had the id of the item."""
    if isinstance(places, range):
        return appended[places.start : places.stop]
    return [None if at is None else appended[at] for at in places]


def _group(calls: Sequence[_AppendCall]) -> Group | None:
    """Returns the first open calls that can land as one append; None: no call is open."""
    open_calls = [call for call in calls if not (call.answered or call.withdrawn)]
    if not open_calls:
        return None
    first = open_calls[0].request.append
    if len(open_calls) == 1 or _conditional(first):
        return Group(first.key, open_calls[:1], first, [range(len(first.items))])
    chosen: list[_AppendCall] = []
    places: list[Sequence[int | None]] = []
    harvest = Harvest()
    for call in open_calls:
        append = call.request.append
        if append.owner_id != first.owner_id or append.keep != first.keep or _conditional(append):
            break
        if append.creates != first.creates:
            break
        if not harvest.fits(append.items):
            break
        chosen.append(call)
        places.append(harvest.add(append.key, append.items, append.keep))
    if len(chosen) == 1:
        return Group(first.key, chosen, first, places)
    return Group(first.key, chosen, replace(first, items=harvest.items, id=new_write_id()), places)


def _conditional(append: Append) -> bool:
    return append.expected_position is not None or append.digest is not None


def _chars(group: Group) -> int:
    append = group.append
    return chars_of(append.items) + (0 if append.create is None else len(append.create.state))
