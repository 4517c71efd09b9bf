"""Checks of items: the items of updates equal the log of the state, and no append has landed twice.

Each update appends its token as an item. Each append without a state appends a list of its token. No call removes items
of this log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sessionstore import Item

from .history import Call, End


def check_items(calls: Sequence[Call], found: Sequence[Item[Any]]) -> None:
    """Raises AssertionError if the items in the results contradict each other or the items that are stored now.

    Args:
        calls: All calls on a session.
        found: The items that the session has now.
    """
    _check_one(found)
    for call in calls:
        if call.kind == "get" and call.seen is not None:
            _check_one(call.items)
            assert _updates(call.items) == call.seen.log, f"{call} saw a state with the items of another state"
    there = {str(item.data): item.position for item in found}
    assert len(there) == len(found), "an item was appended twice"
    ended = any(call.kind in ("delete", "expire") and (call.changed or call.kind == "expire") for call in calls)
    known = {str([call.token] if call.kind == "append" else call.token): call for call in calls}
    for data, position in there.items():
        call = known[data]
        assert call.changed or call.items, f"{call} did not fail"
        if call.items and call.kind in ("append", "update"):
            assert position == call.items[0].position, f"{call} was told another position"
    for data, call in known.items():
        if call.kind == "append" and call.end is End.DONE and not ended:
            assert data in there, f"{call} was lost"


def _check_one(items: Sequence[Item[Any]]) -> None:
    positions = [item.position for item in items]
    assert positions == sorted(set(positions)), "the positions do not grow"


def _updates(items: Sequence[Item[Any]]) -> tuple[int, ...]:
    return tuple(item.data for item in items if not isinstance(item.data, list))
