"""Reads and touches of single sessions, and reads of small groups. Concurrent calls share statements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

from ....batching import BATCH_CHARS, Batching
from ....concurrency.combine import Combiner
from ....concurrency.halves import by_key
from ... import Document, Key, Owners, Window
from ...items import chars_of

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

_MIN_PARALLEL: Final = 64
"""The smallest batch of reads or touches that runs beside another one. Reads do not wait for the disk."""


class GetMany(Protocol):
    """Reads several sessions, as StorageProvider.get_many()."""

    async def __call__(
        self, keys: Sequence[Key], *, touch: bool = True, owners: Owners = None, window: Window | None = None
    ) -> Sequence[Document | None]: ...


class SingleReads:
    """Reads and touches single sessions, and reads small groups.

    Args:
        get_many: Reads several sessions.
        touch_many: Touches several sessions.
        batching: The limits of batches.
    """

    def __init__(
        self, get_many: GetMany, touch_many: Callable[[Sequence[Key]], Awaitable[Sequence[bool]]], *, batching: Batching
    ) -> None:
        self._get_many = get_many
        self._batching = batching
        self._gets = {touch: self._combiner(partial(self._get_documents, touch=touch)) for touch in (False, True)}
        self._windows = {touch: self._combiner(partial(self._get_windows, touch=touch)) for touch in (False, True)}
        self._groups = {touch: self._combiner(partial(self._get_groups, touch=touch)) for touch in (False, True)}
        self._touches = self._combiner(touch_many, weighed=False)

    async def get(self, key: Key, *, touch: bool, owner_id: str | None, window: Window | None) -> Document | None:
        """Implements StorageProvider.get()."""
        if window is None:
            return await self._gets[touch].call((key, owner_id), None)
        return await self._windows[touch].call((key, owner_id, window), None)

    async def get_group(self, keys: Sequence[Key], *, touch: bool, window: Window | None) -> Sequence[Document | None]:
        """Implements StorageProvider.get_group()."""
        return await self._groups[touch].call((tuple(keys), window), None)

    async def touch(self, key: Key) -> bool:
        """Implements StorageProvider.touch()."""
        return await self._touches.call(key, None)

    def _combiner(
        self, many: Callable[[Sequence[K]], Awaitable[Sequence[R]]], *, weighed: bool = True
    ) -> Combiner[K, None, R]:
        return Combiner(
            by_key(many),
            size=self._batching.size,
            concurrency=self._batching.concurrency,
            min_parallel=_MIN_PARALLEL,
            alone=False,
            weighed=weighed,
        )

    async def _get_documents(
        self, asked: Sequence[tuple[Key, str | None]], *, touch: bool
    ) -> Sequence[Document | None]:
        """Reads the sessions that concurrent callers asked for, each with the owner that its caller named."""
        owners = [owner_id for _, owner_id in asked]
        known = owners if any(owner_id is not None for owner_id in owners) else None
        documents = await self._get_many([key for key, _ in asked], touch=touch, owners=known)
        self._gets[touch].fit([len(document.state) for document in documents if document is not None], BATCH_CHARS)
        return documents

    async def _get_windows(
        self, asked: Sequence[tuple[Key, str | None, Window]], *, touch: bool
    ) -> Sequence[Document | None]:
        """Reads sessions with items for concurrent callers: one statement for each window that they asked for."""
        by_window: dict[Window, list[int]] = {}
        for index, (_, _, window) in enumerate(asked):
            by_window.setdefault(window, []).append(index)
        documents: list[Document | None] = [None] * len(asked)
        for window, indexes in by_window.items():
            keys, owners = [asked[index][0] for index in indexes], [asked[index][1] for index in indexes]
            found = await self._get_many(keys, touch=touch, owners=owners, window=window)
            for index, document in zip(indexes, found, strict=True):
                documents[index] = document
        self._windows[touch].fit([_length_of(it) for it in documents if it is not None], BATCH_CHARS)
        return documents

    async def _get_groups(
        self, asked: Sequence[tuple[tuple[Key, ...], Window | None]], *, touch: bool
    ) -> Sequence[Sequence[Document | None]]:
        """Reads groups for concurrent callers: one statement for each window, and each session once."""
        by_window: dict[Window | None, dict[Key, Document | None]] = {}
        for group, window in asked:
            by_window.setdefault(window, {}).update(dict.fromkeys(group))
        for window, documents in by_window.items():
            keys = list(documents)
            documents.update(zip(keys, await self._get_many(keys, touch=touch, window=window), strict=True))
        found = [[by_window[window][key] for key in group] for group, window in asked]
        lengths = [sum([_length_of(it) for it in group if it is not None]) for group in found]
        self._groups[touch].fit(lengths, BATCH_CHARS)
        return found


def _length_of(document: Document) -> int:
    return len(document.state) + chars_of(document.items)
