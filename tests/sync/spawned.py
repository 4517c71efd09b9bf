"""What a spawned process does: it imports this module, and opens a storage of its own."""

from __future__ import annotations

from sessionstore.sync import SessionManager, open_storage

from .counting import add_one, new_count


def update(url: str) -> bool:
    with open_storage(url) as storage:
        return SessionManager(new_count, storage).update_session("s", add_one).success
