"""The items of the sessions of one transaction: the operations on the items of one session, at a given time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from .. import Edit, Key, NewItem, StoredItem, Window
from ..reshaping import OutdatedItem, Rewrite


class Entry(NamedTuple):
    """One item, with the name of its log and the caller's id of it (None: it has none)."""

    position: int
    log: str
    text: str
    id: str | None
    created_at: datetime
    version: int

    @property
    def stored(self) -> StoredItem:
        """The item as callers get it."""
        return StoredItem(self.position, self.text, self.created_at, self.version)


class Logs:
    """The items of the sessions, each list in the order of the positions."""

    def __init__(self) -> None:
        self._entries: dict[Key, list[Entry]] = {}

    def load(self, key: Key, entries: Sequence[Entry]) -> None:
        """Loads the items of a stored session, in the order of the positions."""
        self._entries[key] = list(entries)

    def entries(self, key: Key) -> list[Entry]:
        """Returns the items of a session."""
        return self._entries.get(key, [])

    def forget(self, key: Key) -> None:
        """Removes the items of a session."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Removes the items of all sessions."""
        self._entries.clear()

    def count(self, key: Key) -> int:
        """Counts the items of a session."""
        return len(self._entries.get(key, ()))

    def read(self, key: Key, window: Window) -> Sequence[StoredItem]:
        """Reads the items of a window, oldest first."""
        found = [
            entry.stored
            for entry in self._entries.get(key, ())
            if entry.log == window.log
            and (window.after is None or entry.position > window.after)
            and (window.before is None or entry.position < window.before)
            and (window.ids is None or entry.id in window.ids)
        ]
        if not window.newest:
            return found[: window.limit]
        return found[-window.limit :] if window.limit else []

    def names(self, key: Key) -> Sequence[str]:
        """Names the logs of a session that have items, in order."""
        return sorted({entry.log for entry in self._entries.get(key, ())})

    def find(self, key: Key, item_id: str) -> StoredItem | None:
        """Finds the item with an id in a session; None: there is none."""
        return next((entry.stored for entry in self._entries.get(key, ()) if entry.id == item_id), None)

    def append(
        self, key: Key, items: Sequence[NewItem], last_position: int, now: datetime, keep: int | None
    ) -> Sequence[int | None]:
        """Appends items, removes those beyond ``keep``, and returns the position of each; None: it was passed over."""
        entries = self._entries.setdefault(key, [])
        positions = self.places(key, items, last_position)
        for item, position in zip(items, positions, strict=True):
            if position is not None:
                entries.append(Entry(position, item.log, item.text, item.id, now, item.version))
        if keep is not None:
            for log in {item.log for item in items}:
                self.keep(key, log, keep)
        return positions

    def places(self, key: Key, items: Sequence[NewItem], last_position: int) -> Sequence[int | None]:
        """Returns the position that each item would get; None: it would be passed over."""
        ids = {entry.id for entry in self._entries.get(key, ()) if entry.id is not None}
        positions: list[int | None] = []
        for item in items:
            if item.id is not None and item.id in ids:
                positions.append(None)
                continue
            last_position += 1
            positions.append(last_position)
            if item.id is not None:
                ids.add(item.id)
        return positions

    def keep(self, key: Key, log: str, keep: int) -> Sequence[Entry]:
        """Removes all items of a log except the newest, and returns the removed ones."""
        of_log = [entry for entry in self._entries.get(key, ()) if entry.log == log]
        return self._remove(key, of_log[: max(len(of_log) - keep, 0)])

    def remove(self, edit: Edit) -> Sequence[Entry]:
        """Removes the items that an edit removes, and returns them, oldest first."""
        of_log = [entry for entry in self._entries.get(edit.key, ()) if entry.log == edit.log]
        if edit.newest is not None:
            return self._remove(edit.key, _newest(of_log, edit.newest))
        if (after := edit.after) is not None:
            removed = self._remove(edit.key, [it for it in of_log if it.position > after])
            kept = None if edit.items else edit.keep  # with items to append, append() trims their logs
            return removed if kept is None else [*self.keep(edit.key, edit.log, kept), *removed]
        return [] if edit.keep is None else self.keep(edit.key, edit.log, edit.keep)

    def unknown(self, edit: Edit) -> Entry | None:
        """Returns one of the newest items that the caller of an edit cannot read; None: there is none."""
        if edit.newest is None or edit.known is None:
            return None
        of_log = [entry for entry in self._entries.get(edit.key, ()) if entry.log == edit.log]
        return next((entry for entry in _newest(of_log, edit.newest) if entry.version > edit.known), None)

    def put(self, key: Key, log: str, position: int, text: str, version: int) -> bool:
        """Replaces the text of an item; returns whether there is one at the position."""
        entries = self._entries.get(key, [])
        for at, entry in enumerate(entries):
            if entry.position == position and entry.log == log:
                entries[at] = entry._replace(text=text, version=version)
                return True
        return False

    def outdated(self, key: Key, version: int) -> Sequence[OutdatedItem]:
        """Returns the items of a session that are of another shape version."""
        entries = self._entries.get(key, ())
        return [OutdatedItem(key, entry.log, entry.stored) for entry in entries if entry.version != version]

    def rewrite(self, rewrite: Rewrite) -> bool:
        """Replaces the text of an item; returns whether the item is there as it was read."""
        key, log, item = rewrite.found
        if not any((entry.log, entry.stored) == (log, item) for entry in self._entries.get(key, ())):
            return False
        return self.put(key, log, item.position, rewrite.text, rewrite.version)

    def copy(self, source: Key, key: Key, until: int | None) -> None:
        """Copies the items of a session up to a position (None: all) to another session."""
        self._entries[key] = [
            entry for entry in self._entries.get(source, ()) if until is None or entry.position <= until
        ]

    def _remove(self, key: Key, entries: Sequence[Entry]) -> Sequence[Entry]:
        gone = {entry.position for entry in entries}
        if gone:
            self._entries[key] = [entry for entry in self._entries[key] if entry.position not in gone]
        return entries


def _newest(entries: Sequence[Entry], number: int) -> Sequence[Entry]:
    return entries[len(entries) - min(number, len(entries)) :]
