"""Logs that keep their newest items only."""

from __future__ import annotations

import pytest_asyncio

from sessionstore import SessionManager

from ...support.documents import Chat, increment
from ...support.results import data
from ..given import Managed


@pytest_asyncio.fixture(loop_scope="function")
async def desk(managed: Managed) -> SessionManager[Chat]:
    desk = managed(keep_items=3)
    await desk.create_session("s")
    return desk


async def test_an_append_removes_the_oldest_items(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", ["a", "b"])
    appended = await desk.append_items("s", ["c", "d"])
    assert [item.position for item in appended.items] == [3, 4]
    assert data(await desk.get_items("s")) == ["b", "c", "d"]
    assert (await desk.get_session("s")).last_position == 4


async def test_an_append_with_an_update_removes_the_oldest_items_too(desk: SessionManager[Chat]) -> None:
    for n in range(6):
        await desk.update_session("s", increment, append=[n])
    assert data(await desk.get_session("s", last_items=9)) == [3, 4, 5]
    await desk.update_session("s", increment)
    assert data(await desk.get_items("s")) == [3, 4, 5]


async def test_an_append_of_more_items_than_are_kept_keeps_the_newest(desk: SessionManager[Chat]) -> None:
    appended = await desk.append_items("s", list(range(5)))
    assert data(appended) == [0, 1, 2, 3, 4]
    assert data(await desk.get_items("s")) == [2, 3, 4]
    await desk.create_session("t", items=list(range(5)))
    assert data(await desk.get_items("t")) == [2, 3, 4]
    await desk.append_items("u", list(range(5)), create=True)
    assert data(await desk.get_items("u")) == [2, 3, 4]


async def test_each_log_keeps_its_own_newest_items(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", [1, 2, 3])
    await desk.append_items("s", [4, 5, 6, 7], log="other")
    assert data(await desk.get_items("s")) == [1, 2, 3]
    assert data(await desk.get_items("s", log="other")) == [5, 6, 7]
    (info,) = (await desk.list_sessions()).sessions
    assert info.item_count == 6


async def test_an_id_that_was_removed_may_come_again(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", [1, 2, 3, 4], ids=["m1", "m2", "m3", "m4"])
    assert data(await desk.append_items("s", [4, 1], ids=["m4", "m1"])) == [1]
    assert data(await desk.get_items("s")) == [3, 4, 1]


async def test_a_replacement_removes_the_oldest_items_too(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", [1, 2, 3])
    await desk.append_items("s", ["x"], log="other")
    replaced = await desk.replace_items("s", [4, 5], after=2)
    assert [item.position for item in replaced.items] == [5, 6]
    assert data(await desk.get_items("s")) == [2, 4, 5]
    assert data(await desk.replace_items("s", [6, 7, 8, 9])) == [6, 7, 8, 9]
    assert data(await desk.get_items("s")) == [7, 8, 9]
    await desk.replace_items("s", [], after=9)
    assert data(await desk.get_items("s")) == [7, 8]
    assert data(await desk.get_items("s", log="other")) == ["x"]
    (info,) = (await desk.list_sessions()).sessions
    assert info.item_count == 3


async def test_a_replacement_by_nothing_removes_the_oldest_items_too(managed: Managed) -> None:
    unbounded, bounded = managed(), managed(keep_items=2)
    await unbounded.create_session("s", items=[1, 2, 3, 4, 5])
    await unbounded.append_items("s", ["x", "y", "z"], log="other")
    replaced = await bounded.replace_items("s", [], after=4)
    assert (replaced.items, replaced.item_count) == ((), 5)
    assert data(await bounded.get_items("s")) == [3, 4]
    assert data(await bounded.get_items("s", log="other")) == ["x", "y", "z"]
    (info,) = (await bounded.list_sessions()).sessions
    assert info.item_count == 5
