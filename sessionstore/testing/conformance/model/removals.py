"""Calls at any time that remove and replace items of a log of their own, and checks of what became of each item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from sessionstore import Item, ItemNotFoundError, SessionResult

from .history import Call, End
from .machine import ConcurrentCalls, desks, sessions

_LOG: Final = "cut"
_ADDING: Final = ("add", "replace")
_REMOVING: Final = ("trim", "replace", "put")
"""The calls whose results do not name the items that they removed."""

_KINDS: Final = ("add", "pop", "trim", "replace", "put")


class ConcurrentRemovals(ConcurrentCalls):
    """Makes such calls too. An added item is a list of one token. A replacement is a list of two values."""

    @rule(desk=desks, session=sessions, times=st.integers(1, 4))
    def add(self, desk: int, session: str, times: int) -> None:
        def make(call: Call) -> Any:
            return self.desks[desk].append_items(session, [[call.token]], log=_LOG)

        for _ in range(times):
            self.begin("add", desk, session, make)

    @rule(desks=st.lists(desks, min_size=1, max_size=4), session=sessions, count=st.integers(0, 3))
    def pop(self, desks: list[int], session: str, count: int) -> None:
        def make(desk: int, _: Call) -> Any:
            return self.desks[desk].pop_items(session, count, log=_LOG)

        for desk in desks:
            self.begin("pop", desk, session, partial(make, desk))

    @rule(desk=desks, session=sessions, keep=st.integers(0, 3))
    def trim(self, desk: int, session: str, keep: int) -> None:
        self.begin("trim", desk, session, lambda _: self.desks[desk].trim_items(session, keep, log=_LOG))

    @rule(desk=desks, session=sessions, after=st.integers(0, 12))
    def replace(self, desk: int, session: str, after: int) -> None:
        def make(call: Call) -> Any:
            return self.desks[desk].replace_items(session, [[call.token]], after=after, log=_LOG)

        self.begin("replace", desk, session, make)

    @rule(desk=desks, session=sessions, position=st.integers(1, 12))
    def put(self, desk: int, session: str, position: int) -> None:
        def make(call: Call) -> Any:
            return self.desks[desk].replace_item(session, position, [call.token, "put"], log=_LOG)

        self.begin("put", desk, session, make)

    def note(self, session: str, call: Call, result: SessionResult[Any]) -> None:
        if call.kind not in _KINDS:
            super().note(session, call, result)
            return
        call.items = result.items
        call.wrote = result.success
        call.end = End.DONE if result.success else End.ABSENT
        if isinstance(result.error, ItemNotFoundError) and result.error.position is not None:
            call.end = End.REFUSED
        elif result.success and call.kind in _ADDING:
            assert [item.data for item in result.items] == [[call.token]]

    async def check(self) -> None:
        await super().check()
        for session, history in self.histories.items():
            found = await self.desks[-1].get_items(session, touch=False, last=100_000, log=_LOG)
            check_removals(history.calls, found.items)


def check_removals(calls: Sequence[Call], found: Sequence[Item[Any]]) -> None:
    """Raises AssertionError if the items in the results contradict each other or the items that are stored now.

    Args:
        calls: All calls on a session.
        found: The items that the log has now.
    """
    calls = [call for call in calls if call.kind in (*_KINDS, "delete", "expire")]
    ended = any(call.kind in ("delete", "expire") and (call.changed or call.kind == "expire") for call in calls)
    known = {call.token: call for call in calls}
    there = Counter(item.data[0] for item in found)
    popped = Counter(item.data[0] for call in calls if call.kind == "pop" for item in call.items)
    for token, times in (there + popped).items():
        assert times == 1, f"an item was popped {popped[token]} times and is there {there[token]} times"
        assert known[token].changed, f"{known[token]} did not fail"
        assert known[token].kind in (*_ADDING, "put"), f"{known[token]} adds nothing"
    positions = [item.position for item in found]
    assert positions == sorted(set(positions)), "the positions do not grow"
    if ended:
        return
    _check_positions([*calls], found)
    removed_unsaid = any(
        (call.kind in _REMOVING and call.changed) or (call.kind == "pop" and call.end is not None and call.end.open)
        for call in calls
    )
    for call in calls:
        if call.kind in _ADDING and call.end is End.DONE and not removed_unsaid:
            assert there[call.token] + popped[call.token] == 1, f"{call} was lost"
        if call.kind == "pop" and call.items:
            newest = call.items[-1].position
            newer = [known[item.data[0]] for item in found if item.position > newest]
            # A call whose outcome is unknown may have landed after the pop.
            told = [it for it in newer if it.end is End.DONE and it.kind != "put"]
            assert not any(it.before(call) for it in told), f"{call} left items that are newer than those it removed"


def _check_positions(calls: Sequence[Call], found: Sequence[Item[Any]]) -> None:
    """Checks that an item keeps its position, and that no other item ever gets this position."""
    owners: dict[int, int] = {}
    for item in [*found, *(item for call in calls for item in call.items)]:
        if len(item.data) == 1:
            owner = owners.setdefault(item.position, item.data[0])
            assert owner == item.data[0], f"position {item.position} was given twice"
