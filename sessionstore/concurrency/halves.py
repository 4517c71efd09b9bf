"""What is refused together is done in halves, so that only the one to blame is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from time import monotonic
from typing import Final, TypeVar

from ..errors import SessionStoreError
from .call import Batch, Send, copy_of

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

SECONDS: Final = 30.0
"""For how long a batch that was refused is halved: where each half is refused after a long time, nobody is to blame."""


def divisible(error: Exception) -> bool:
    """Whether a part of a batch may work, of which nothing was done: where one of it was refused, or was not expected.

    A batch may also be refused for its size alone, which has limits in the server: of memory, of files, of time.
    """
    return getattr(error, "refused", not isinstance(error, SessionStoreError))


def by_key(many: Callable[[Sequence[K]], Awaitable[Sequence[R]]]) -> Send[K, None, R]:
    """Answers calls of a key, which all ask the same of it, by a function of many keys."""

    async def send(batch: Batch[K, None, R]) -> None:
        for calls, answer in zip(batch.values(), await _answers(many, list(batch)), strict=True):
            for call in calls:
                call.answer(copy_of(answer) if isinstance(answer, Exception) and len(calls) > 1 else answer)

    return send


async def _answers(
    many: Callable[[Sequence[K]], Awaitable[Sequence[R]]], keys: Sequence[K], end: float | None = None
) -> Sequence[R | Exception]:
    try:
        return await many(keys)
    except Exception as error:  # noqa: BLE001  # whatever it is, those who called are told
        if len(keys) == 1 or not divisible(error) or (end is not None and monotonic() > end):
            return [error if len(keys) == 1 else copy_of(error) for _ in keys]
    end = end or monotonic() + SECONDS
    middle = len(keys) // 2
    return [*await _answers(many, keys[:middle], end), *await _answers(many, keys[middle:], end)]
