"""Batches the creations and deletions of concurrent callers. Each caller is answered as soon as its result is known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
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
        again: Returns the answer to the second of two such requests, from the answer to the first.
        weight: Returns the number of characters that a request sends.
        batching: The limits of batches.
        min_parallel: The smallest batch that runs beside another one.
    """

    def __init__(
        self,
        run: Run[Q, R],
        same: Callable[[Q], object],
        again: Callable[[R], R],
        weight: Callable[[Q], int],
        *,
        batching: Batching,
        min_parallel: int,
    ) -> None:
        self._run = run
        self._same = same
        self._again = again
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
        while wishes := _first_of_each(batch):
            for part in divided(wishes.items(), lambda item: self._weight(item[1])):
                await self._do_part(batch, dict(part))

    async def _do_part(self, batch: Batch[Key, _Asked[Q], R], wishes: Mapping[Key, Q]) -> None:
        calls = {
            key: [call for call in _open(batch[key]) if self._same(call.request.wish) == self._same(wish)]
            for key, wish in wishes.items()
        }

        def told(key: Key, answer: R) -> None:
            for call in calls[key]:
                call.answer(answer)
                answer = self._again(answer)

        def wanted(key: Key) -> bool:
            return any(not call.withdrawn for call in calls[key])

        sents = [call.request.sent for of_key in calls.values() for call in of_key]
        with noting(SentTogether(sent for sent in sents if sent is not None)), suppress(Outdated):
            await self._run(wishes, told, wanted)


def _open(calls: Sequence[Call[_Asked[Q], R]]) -> list[Call[_Asked[Q], R]]:
    return [call for call in calls if not (call.answered or call.withdrawn)]


def _first_of_each(batch: Batch[Key, _Asked[Q], R]) -> dict[Key, Q]:
    """Returns the first open request of each key."""
    return {key: left[0].request.wish for key, calls in batch.items() if (left := _open(calls))}


def length_of(draft: Draft) -> int:
    """Returns the number of characters that a creation sends."""
    return len(draft.state) + len(draft.origin or "") + chars_of(draft.items)


def found(creation: Creation) -> Creation:
    """Returns the answer to a second call that creates the same session."""
    return creation._replace(created=False)


def not_again(deleted: bool) -> bool:
    """Returns the answer to a second call that deletes the same session."""
    return False
