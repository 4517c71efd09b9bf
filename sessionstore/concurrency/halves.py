"""Bisection: a batch that the database refused is sent again in halves, so that only the refused call fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from time import monotonic
from typing import Final, TypeVar

from ..errors import SessionStoreError
from .call import Batch, Send, copy_of, tell

K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q")
R = TypeVar("R")

SECONDS: Final = 30.0
"""For how many seconds a refused batch is bisected. If each half is refused after a long time, no single call is to
blame."""


def divisible(error: Exception) -> bool:
    """Whether a part of the failed batch may succeed alone: the batch had no effect, and the database still answers.

    The database may have refused one call of the batch. It may also have refused the size of the batch, for its limits
    on memory, files or time. Errors from outside the library count as refusals.
    """
    return getattr(error, "refused", not isinstance(error, SessionStoreError))


def by_key(many: Callable[[Sequence[K]], Awaitable[Sequence[R]]]) -> Send[K, None, R]:
    """Makes a Send from a function of many keys. All calls of a key get the answer for the key."""

    async def send(batch: Batch[K, None, R]) -> None:
        for calls, answer in zip(batch.values(), await _answers(many, list(batch)), strict=True):
            for call in calls:
                call.answer(copy_of(answer) if isinstance(answer, Exception) and len(calls) > 1 else answer)

    return send


async def in_parts(batch: Batch[K, Q, R], do: Send[K, Q, R]) -> None:
    """Does the calls of a batch. If the storage refuses the batch, does its halves, and so on down to single keys.

    Single keys are done last and concurrently, so that a key that has to wait delays no other key.

    Args:
        batch: The calls.
        do: Does the calls of a batch, and answers each call as soon as it is done. If it raises a divisible error, the
            calls without an answer had no effect.
    """
    alone: list[K] = []
    await _parted(batch, do, alone)
    if alone:
        await asyncio.gather(*(_parted({key: batch[key]}, do, []) for key in alone))


async def _parted(batch: Batch[K, Q, R], do: Send[K, Q, R], alone: list[K], end: float | None = None) -> None:
    try:
        await do(batch)
    except Exception as error:  # noqa: BLE001  # any error is the answer of the callers
        left = [key for key, calls in batch.items() if not all(call.answered for call in calls)]
        if len(batch) == 1 or not divisible(error) or (end is not None and monotonic() > end):
            tell([call for key in left for call in batch[key]], error)
            return
    else:
        return
    end = end or monotonic() + SECONDS
    middle = len(left) // 2
    for part in (left[:middle], left[middle:]):
        if len(part) == 1:
            alone += part
        elif part:
            await _parted({key: batch[key] for key in part}, do, alone, end)


async def _answers(
    many: Callable[[Sequence[K]], Awaitable[Sequence[R]]], keys: Sequence[K], end: float | None = None
) -> Sequence[R | Exception]:
    try:
        return await many(keys)
    except Exception as error:  # noqa: BLE001  # any error is the answer of the callers
        if len(keys) == 1 or not divisible(error) or (end is not None and monotonic() > end):
            return [error if len(keys) == 1 else copy_of(error) for _ in keys]
    end = end or monotonic() + SECONDS
    middle = len(keys) // 2
    return [*await _answers(many, keys[:middle], end), *await _answers(many, keys[middle:], end)]
