"""Harvest: the items of several calls that land in one write."""

from __future__ import annotations

from collections.abc import Sequence

from ..batching import BATCH_CHARS
from .items import NewItem, chars_of, check_new
from .journal import MOST_ITEMS
from .records import Key


class Harvest:
    """The items of several calls on one session, in the order of the calls.

    Attributes:
        items: The items. No two have the same id.
        keep: How many items each log keeps; None: all.
        chars: The length of the items, in characters.
    """

    __slots__ = ("_ids", "chars", "items", "keep")

    def __init__(self) -> None:
        self.items: list[NewItem] = []
        self.keep: int | None = None
        self.chars = 0
        self._ids: set[str] = set()

    def fits(self, items: Sequence[NewItem]) -> bool:
        """Returns whether the items of one more call fit into this write. The items of the first call always fit."""
        if not (items and self.items):
            return True
        if len(self.items) + len(items) > MOST_ITEMS:
            return False
        return self.chars + chars_of(items) <= BATCH_CHARS

    def add(self, key: Key, items: Sequence[NewItem], keep: int | None) -> Sequence[int | None]:
        """Adds the items of a call, and returns the place of each; None: an earlier item has its id.

        Raises:
            SessionConflictError: An item has to be new, and an earlier item has its id. Nothing was added.
        """
        for item in items:
            if item.only_new and item.id in self._ids:
                check_new(key.session_id, items, [None if it.id in self._ids else 0 for it in items])
        if items and keep is not None:
            self.keep = keep if self.keep is None else min(self.keep, keep)
        first = len(self.items)
        for item in items:
            if item.id is not None:
                return self._add_new(items)
        self.items += items
        self.chars += chars_of(items)
        return range(first, first + len(items))

    def _add_new(self, items: Sequence[NewItem]) -> Sequence[int | None]:
        """Adds the items, and passes over each item whose id an earlier item has."""
        slots: list[int | None] = []
        for item in items:
            if item.id is not None:
                if item.id in self._ids:
                    slots.append(None)
                    continue
                self._ids.add(item.id)
            slots.append(len(self.items))
            self.items.append(item)
            self.chars += len(item.text)
        return slots
