"""Providers implement every call. A method that a provider forgot would return None."""

from __future__ import annotations

from sessionstore import StorageProvider

from ...capability import Capability, needs

_OF_SESSIONS = [
    *("create_many", "get_many", "update_many", "update_locked_many", "delete_many", "set_many", "exists_many"),
    *("touch_many", "list", "clear", "purge_batch", "count_expired", "stats", "close"),
]
_OF_ITEMS = ["append_many", "edit_many", "find_many", "list_logs_many", "fork"]


async def test_every_call_of_sessions_is_implemented(storage: StorageProvider) -> None:
    assert _missing(storage, _OF_SESSIONS) == []


@needs(Capability.ITEMS)
async def test_every_call_of_items_is_implemented(storage: StorageProvider) -> None:
    assert _missing(storage, _OF_ITEMS) == []


def _missing(storage: StorageProvider, names: list[str]) -> list[str]:
    return [name for name in names if getattr(type(storage), name) is getattr(StorageProvider, name)]
