"""Divides folds: into writes of a limited length, and into halves after a refusal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from ..batching import divided
from .attempt import UpdateCall
from .fold import Fold


def parts(folds: Iterable[Fold]) -> Iterator[list[Fold]]:
    """Yields the folds in groups of at most BATCH_CHARS characters of state. A longer state is a group of its own."""
    return divided(folds, attrgetter("chars"))


def halves_of(folds: Sequence[Fold], end: float) -> list[list[Fold]]:
    """Returns new folds with the calls that are still open, in two halves. A single fold is divided by its calls.

    Args:
        folds: The folds that were refused together.
        end: Until when a fold is bisected, by ``time.monotonic()``.
    """
    if len(folds) > 1:
        middle = len(folds) // 2
        return [[Fold(fold.key, fold.open, end) for fold in share] for share in (folds[:middle], folds[middle:])]
    return [[Fold(fold.key, share, end)] for fold in folds for share in _halves(fold.open)]


def _halves(calls: Sequence[UpdateCall]) -> list[Sequence[UpdateCall]]:
    """Returns the calls in two halves; a single call stays whole."""
    middle = len(calls) // 2
    return [share for share in (calls[:middle], calls[middle:]) if share]
