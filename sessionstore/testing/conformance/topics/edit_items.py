"""Removing and replacing the items of a session."""

from __future__ import annotations

import asyncio

import pytest

from sessionstore import Item, ItemNotFoundError, SessionConflictError, SessionManager, SessionNotFoundError

from ...support.documents import Chat, increment
from ...support.results import data, positions
from ..given import Managed, OpenAnother


async def test_popped_items_go_to_one_caller_each(
    desk: SessionManager[Chat], managed: Managed, open_another: OpenAnother
) -> None:
    other = managed(await open_another())
    await desk.append_items("s", list(range(20)))
    results = await asyncio.gather(*(chats.pop_items("s", 2) for _ in range(4) for chats in (desk, other)))
    popped = [value for result in results for value in data(result)]
    assert sorted(popped) == list(range(4, 20))
    assert all(len(result.items) == 2 for result in results)
    assert data(await desk.pop_items("s", 9)) == [0, 1, 2, 3]
    assert data(await desk.pop_items("s")) == []
    assert positions(await desk.append_items("s", ["new"])) == [21]


async def test_items_behind_a_position_are_replaced(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", ["a", "b", "c"], ids=["m1", "m2", "m3"])
    await desk.append_items("s", ["x"], log="other")
    replaced = await desk.replace_items("s", ["B", "C"], after=1, ids=["m2", "m1"], expected_position=4)
    assert (data(replaced), positions(replaced), replaced.last_position) == (["B"], [5], 5)
    assert data(await desk.get_items("s")) == ["a", "B"]
    conflict = await desk.replace_items("s", [], expected_position=4)
    assert isinstance(conflict.error, SessionConflictError)
    assert (conflict.error.expected, conflict.error.actual) == (4, 5)
    cleared = await desk.replace_items("s", [])
    assert (cleared.items, cleared.last_position) == ((), 5)
    assert data(await desk.get_items("s")) == []
    assert data(await desk.get_items("s", log="other")) == ["x"]


@pytest.mark.parametrize("change", ["append", "pop", "swap", "another log", "trim", "replace", "clear", "new session"])
async def test_items_that_have_changed_since_are_not_replaced(desk: SessionManager[Chat], change: str) -> None:
    await desk.append_items("s", ["a", "b"])
    seen = await desk.get_items("s")
    assert (seen.last_position, seen.item_count) == (2, 2)
    match change:
        case "append":
            await desk.append_items("s", ["c"])
        case "pop":
            await desk.pop_items("s")
        case "swap":
            await desk.pop_items("s")
            await desk.append_items("s", ["c"])
        case "another log":
            await desk.append_items("s", ["c"], log="other")
        case "trim":
            await desk.trim_items("s", 1)
        case "replace":
            await desk.replace_items("s", ["A", "B"])
        case "clear":
            await desk.replace_items("s", [])
        case _:
            await desk.delete_session("s")
            await desk.create_session("s", items=["a", "b"])
    before = await desk.get_items("s")
    conflict = await desk.replace_items("s", ["summary"], unchanged_since=seen)
    assert isinstance(conflict.error, SessionConflictError)
    assert (conflict.error.of, conflict.error.expected, conflict.error.actual) == ("items", 2, before.item_count)
    assert (await desk.get_items("s")).items == before.items


async def test_items_that_have_not_changed_since_are_replaced(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", ["a", "b", "c"])
    seen = await desk.get_items("s", last=1)
    await desk.update_session("s", increment)
    await desk.append_items("s", [])
    replaced = await desk.replace_items("s", ["summary"], after=1, unchanged_since=seen)
    assert (data(replaced), replaced.item_count) == (["summary"], 2)
    again = await desk.replace_items("s", ["another"], after=1, unchanged_since=replaced)
    assert data(await desk.get_items("s")) == ["a", *data(again)] == ["a", "another"]


async def test_one_item_is_replaced_in_its_place(desk: SessionManager[Chat]) -> None:
    appended = await desk.append_items("s", ["a", "secret", "c"], ids=[None, "m2", None])
    replaced = await desk.replace_item("s", 2, "[redacted]")
    assert replaced.items == (Item(2, "[redacted]", appended.items[1].created_at),)
    assert data(await desk.get_items("s")) == ["a", "[redacted]", "c"]
    assert data(await desk.find_item("m2")) == ["[redacted]"]
    assert (replaced.last_position, replaced.version) == (3, appended.version)
    for missing in (await desk.replace_item("s", 4, "x"), await desk.replace_item("s", 1, "x", log="other")):
        assert isinstance(missing.error, ItemNotFoundError)
    assert isinstance((await desk.replace_item("t", 1, "x")).error, SessionNotFoundError)


async def test_a_log_is_trimmed_to_its_newest_items(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", list(range(10)))
    await desk.append_items("s", ["x"], log="other")
    trimmed = await desk.trim_items("s", 3)
    assert (trimmed.unwrap(), trimmed.last_position) == (7, 11)
    assert data(await desk.get_items("s")) == [7, 8, 9]
    assert (await desk.trim_items("s", 3)).unwrap() == 0
    assert (await desk.trim_items("s", 0)).unwrap() == 3
    assert data(await desk.get_items("s", log="other")) == ["x"]
