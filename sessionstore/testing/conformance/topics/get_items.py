"""Reading the items of a session, by position and by id."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore import ConfigurationError, ItemNotFoundError, SessionManager

from ...clock import ManualClock
from ...support.documents import TTL, Chat, increment, new_chat
from ...support.results import data, positions
from ..given import Managed


async def test_a_session_is_read_with_its_newest_items(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", list(range(10)))
    assert data(await desk.get_session("s", last_items=3)) == [7, 8, 9]
    assert data(await desk.get_session("s", last_items=50)) == list(range(10))
    assert data(await desk.get_session("s")) == []
    assert (await desk.get_session("s", last_items=3)).unwrap() == new_chat("s")


async def test_items_are_read_by_position(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", list(range(1, 11)))
    assert data(await desk.get_items("s", last=3)) == [8, 9, 10]
    assert data(await desk.get_items("s", last=0)) == []
    assert data(await desk.get_items("s", after=4)) == [5, 6, 7, 8, 9, 10]
    assert data(await desk.get_items("s", after=4, limit=2)) == [5, 6]
    assert data(await desk.get_items("s", before=4)) == [1, 2, 3]
    assert data(await desk.get_items("s", before=4, limit=2)) == [2, 3]
    assert data(await desk.get_items("s", after=2, before=9, limit=3)) == [3, 4, 5]
    assert data(await desk.get_items("s", after=2, before=9, last=3)) == [6, 7, 8]
    assert data(await desk.get_items("s", limit=4)) == [1, 2, 3, 4]
    assert data(await desk.get_items("s", after=10)) == []
    assert data(await desk.get_items("s", before=1)) == []


async def test_pages_of_a_log_have_each_item_once(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", list(range(25)))
    forwards: list[Any] = []
    after: int | None = None
    while page := (await desk.get_items("s", after=after, limit=10)).items:
        forwards += [item.data for item in page]
        after = page[-1].position
    assert forwards == list(range(25))


async def test_a_session_is_read_with_the_items_of_some_ids(desk: SessionManager[Chat]) -> None:
    await desk.update_session("s", increment, append=["a", "b", "c"], ids=["m1", "m2", "m3"])
    read = await desk.get_session("s", ids=["m3", "m1", "m9"], touch=False)
    assert (read.unwrap()["n"], data(read), positions(read), read.last_position) == (1, ["a", "c"], [1, 3], 3)
    none = await desk.get_session("s", ids=["m9"])
    assert (none.unwrap()["n"], none.items) == (1, ())
    nothing = await desk.get_session("s", ids=[], remember=True)
    assert (nothing.unwrap()["n"], nothing.items) == (1, ())
    assert (await desk.update_session("s", increment, expected_version=nothing.version)).unwrap()["n"] == 2
    with pytest.raises(ConfigurationError, match="ids or last_items"):
        await desk.get_session("s", ids=["m1"], last_items=1)


async def test_items_are_read_and_found_by_id(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", ["a", "b", "c"], ids=["m1", "m2", "m3"])
    await desk.create_session("t", items=["z"], ids=["m9"], owner_id="u1")
    assert data(await desk.get_items("s", ids=["m3", "no", "m1"])) == ["a", "c"]
    assert data(await desk.get_items("s", ids=[])) == []
    found = await desk.find_item("m9")
    assert (found.session_id, data(found), positions(found)) == ("t", ["z"], [1])
    assert (await desk.find_item("m9", owner_id="u1")).session_id == "t"
    for missing in (await desk.find_item("m9", owner_id="u2"), await desk.find_item("no")):
        assert isinstance(missing.error, ItemNotFoundError)
        assert (missing.success, missing.session_id) == (False, "")


async def test_an_id_is_found_in_its_namespace_and_while_its_session_lives(
    managed: Managed, desk: SessionManager[Chat], clock: ManualClock
) -> None:
    other = managed(namespace="other")
    await desk.append_items("s", ["a"], ids=["m1"])
    assert isinstance((await other.find_item("m1")).error, ItemNotFoundError)
    clock.advance(2 * TTL)
    assert isinstance((await desk.find_item("m1")).error, ItemNotFoundError)
