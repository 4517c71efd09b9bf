"""Batches creations, deletions and sets of concurrent callers. Each caller is answered when its result is known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from ....batching import Batching, divided
from ....concurrency.call import Batch, Call
from ....concurrency.combine import Combiner
from ....concurrency.halves import in_parts
from ....concurrency.sent import Outdated, Sent, SentTogether, noted, noting
from ... import Creation, Draft, Key
from ...items import chars_of
from .attempts import Told, Wanted

Q = TypeVar("Q")
R = TypeVar("R")

Run: TypeAlias = Callable[[Mapping[Key, Q], Told[R], Wanted], Awaitable[None]]
"""Runs one request for each key. Calls Told with each result, and asks Wanted whether a caller still waits."""


class _Asked(NamedTuple, Generic[Q]):
    """A caller's request, and the record of whether it was sent (None: the caller needs no record)."""

    wish: Q
    sent: Sent | None


class Together(Generic[Q, R]):
    """Batches single requests of concurrent callers.

    A refused request, a held row, a deadline or a cancellation affects its own caller only.

    Args:
        run: Runs one request for each of several keys.
        same: Returns a value that is equal for two requests of one key if one write serves both.
        answers: Returns the answers to the requests that one write served, in their order. Takes the result of the
            write and the number of requests.
        weight: Returns the number of characters that a request sends.
        batching: The limits of batches.
        min_parallel: The smallest batch that runs beside another one.
        merged: Returns one request that serves several adjacent requests, whose callers all still wait. None: the first
            request serves all requests that are the same, adjacent or not.
    """

    def __init__(
        self,
        run: Run[Q, R],
        same: Callable[[Q], object],
        answers: Callable[[R, int], Iterable[R]],
        weight: Callable[[Q], int],
        *,
        batching: Batching,
        min_parallel: int,
        merged: Callable[[Sequence[Q]], Q] | None = None,
    ) -> None:
        self._run = run
        self._same = same
        self._answers = answers
        self._merged = merged
        self._weight = weight
        self._combiner: Combiner[Key, _Asked[Q], R] = Combiner(
            self._send, size=batching.size, concurrency=batching.concurrency, min_parallel=min_parallel, alone=True
        )

    async def call(self, key: Key, wish: Q) -> R:
        """Runs one request, alone or in a batch."""
        sent = noted()
        if sent is not None:
            sent.begin()
        return await self._combiner.call(key, _Asked(wish, sent))

    async def _send(self, batch: Batch[Key, _Asked[Q], R]) -> None:
        await in_parts(batch, self._do)

    async def _do(self, batch: Batch[Key, _Asked[Q], R]) -> None:
        while shared := self._shared(batch):
            weights = {key: self._weight(self._wish(calls)) for key, calls in shared.items()}
            for part in divided(weights, weights.__getitem__):
                # Callers may have been cancelled while an earlier part was under way.
                await self._do_part(self._shared({key: batch[key] for key in part}))

    def _shared(self, batch: Batch[Key, _Asked[Q], R]) -> dict[Key, list[Call[_Asked[Q], R]]]:
        """Returns the first open calls of each key that one write serves."""
        shared: dict[Key, list[Call[_Asked[Q], R]]] = {}
        for key, calls in batch.items():
            if not (left := [call for call in calls if not (call.answered or call.withdrawn)]):
                continue
            if len(left) > 1:
                same = [self._same(call.request.wish) for call in left]
                if self._merged is None:
                    left = [call for call, its in zip(left, same, strict=True) if its == same[0]]
                else:
                    left = left[: next((n for n, its in enumerate(same) if its != same[0]), None)]
            shared[key] = left
        return shared

    def _wish(self, calls: Sequence[Call[_Asked[Q], R]]) -> Q:
        if self._merged is None or len(calls) == 1:
            return calls[0].request.wish
        return self._merged([call.request.wish for call in calls])

    async def _do_part(self, calls: Mapping[Key, Sequence[Call[_Asked[Q], R]]]) -> None:
        def told(key: Key, answer: R) -> None:
            for call, each in zip(calls[key], self._answers(answer, len(calls[key])), strict=True):
                call.answer(each)

        def wanted(key: Key) -> bool:
            waiting = [not call.withdrawn for call in calls[key]]
            # If one of its callers was cancelled, a merged request has to be made anew from the others.
            return any(waiting) if self._merged is None else all(waiting)

        wishes = {key: self._wish(of_key) for key, of_key in calls.items()}
        sents = [call.request.sent for of_key in calls.values() for call in of_key]
        with noting(SentTogether(sent for sent in sents if sent is not None)), suppress(Outdated):
            await self._run(wishes, told, wanted)


def length_of(draft: Draft) -> int:
    """Returns the number of characters that a creation sends."""
    return len(draft.state) + len(draft.origin or "") + chars_of(draft.items)


def found_again(creation: Creation, count: int) -> Iterable[Creation]:
    """Returns the answers to several calls that create the same session: the first one may have created it."""
    return (creation, *[creation._replace(created=False)] * (count - 1))


def deleted_once(deleted: bool, count: int) -> Iterable[bool]:
    """Returns the answers to several calls that delete the same session: the first one may have deleted it."""
    return (deleted, *[False] * (count - 1))
