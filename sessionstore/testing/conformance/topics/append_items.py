"""Appending items to a session."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from sessionstore import (
    ConfigurationError,
    Item,
    SessionConflictError,
    SessionManager,
    SessionNotFoundError,
    StorageProvider,
)

from ...clock import ManualClock
from ...support.documents import TTL, Chat, increment, new_chat
from ...support.results import data, positions
from ..given import Managed, OpenAnother


async def test_items_come_in_the_order_in_which_they_were_appended(desk: SessionManager[Chat]) -> None:
    first = await desk.append_items("s", ["a", "b"])
    second = await desk.append_items("s", ["c"])
    assert (positions(first), positions(second)) == ([1, 2], [3])
    assert (first.applied, first.created, first.data) == (True, False, None)
    assert (first.last_position, second.last_position) == (2, 3)
    read = await desk.get_items("s")
    assert read.items == first.items + second.items
    assert read.items[0] == Item(1, "a", first.items[0].created_at)
    assert (read.data, read.success, read.last_position) == (None, True, 3)


async def test_an_append_leaves_the_version_and_the_state_alone(desk: SessionManager[Chat]) -> None:
    before = await desk.get_session("s")
    appended = await desk.append_items("s", [1])
    after = await desk.get_session("s", last_items=5)
    assert appended.version == before.version == after.version
    assert (await desk.update_session("s", increment, expected_version=before.version)).success
    assert (after.unwrap(), data(after)) == (before.unwrap(), [1])


async def test_an_item_that_is_delivered_twice_is_appended_once(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", ["a", "b"], ids=["m1", None])
    again = await desk.append_items("s", ["a", "c", "d"], ids=["m1", "m2", None])
    assert (data(again), positions(again), again.applied) == (["c", "d"], [3, 4], True)
    once_more = await desk.append_items("s", ["a", "c"], ids=["m1", "m2"])
    assert (once_more.items, once_more.applied, once_more.success, once_more.last_position) == ((), False, True, 4)
    assert data(await desk.get_items("s")) == ["a", "b", "c", "d"]
    other = await desk.append_items("s", ["a"], ids=["m1"], log="other")
    assert other.items == ()


async def test_the_first_of_equal_ids_in_one_call_wins(desk: SessionManager[Chat]) -> None:
    appended = await desk.append_items("s", ["a", "b", "c"], ids=["m1", "m1", "m2"])
    assert (data(appended), positions(appended)) == (["a", "c"], [1, 2])
    assert data(await desk.get_items("s")) == ["a", "c"]


async def test_a_session_begins_with_items(desk: SessionManager[Chat]) -> None:
    created = await desk.create_session("t", items=["a", "b", "a"], ids=["m1", None, "m1"])
    assert (created.created, data(created), positions(created), created.last_position) == (True, ["a", "b"], [1, 2], 2)
    found = await desk.create_session("t", items=["x"])
    assert (found.created, found.items, found.last_position) == (False, (), 2)
    assert data(await desk.get_items("t")) == ["a", "b"]


async def test_an_append_creates_an_absent_session(desk: SessionManager[Chat]) -> None:
    missing = await desk.append_items("t", ["a"])
    assert isinstance(missing.error, SessionNotFoundError)
    created = await desk.append_items("t", ["a"], create=True, owner_id="u1")
    assert (created.created, data(created), positions(created)) == (True, ["a"], [1])
    again = await desk.append_items("t", ["b"], create=True)
    assert (again.created, positions(again)) == (False, [2])
    session = await desk.get_session("t", last_items=5)
    assert (session.unwrap(), data(session)) == (new_chat("t"), ["a", "b"])
    assert session.metadata is not None
    assert session.metadata.owner_id == "u1"


async def test_one_of_concurrent_appends_creates_the_session_and_none_is_lost(
    desk: SessionManager[Chat], managed: Managed, open_another: OpenAnother
) -> None:
    other = managed(await open_another())
    calls = [chats.append_items("t", [n], create=True) for n in range(10) for chats in (desk, other)]
    results = await asyncio.gather(*calls)
    assert sum(result.created for result in results) == 1
    read = await desk.get_items("t")
    assert sorted(data(read)) == sorted([*range(10), *range(10)])
    assert positions(read) == list(range(1, 21))


async def test_an_append_with_a_key_is_done_once(desk: SessionManager[Chat]) -> None:
    first = await desk.append_items("s", ["a"], idempotency_key="k1")
    again = await desk.append_items("s", ["a"], idempotency_key="k1")
    assert (first.applied, again.applied, again.success, again.items) == (True, False, True, ())
    assert again.last_position == 1
    assert not (await desk.update_session("s", increment, idempotency_key="k1")).applied
    assert (await desk.update_session("s", increment, append=["u"], idempotency_key="k2")).applied
    assert not (await desk.append_items("s", ["b"], idempotency_key="k2")).applied
    for created in (True, False):
        made = await desk.append_items("t", ["a"], create=True, idempotency_key="k1")
        assert (made.created, made.applied) == (created, created)
    assert data(await desk.get_items("t")) == ["a"]


async def test_deliveries_at_once_of_one_key_are_appended_once(
    desk: SessionManager[Chat], managed: Managed, open_another: OpenAnother
) -> None:
    other = managed(await open_another())
    calls = [chats.append_items("s", [n], idempotency_key=f"k{n}") for n in range(5) for chats in (desk, other, desk)]
    results = await asyncio.gather(*calls)
    assert sum(result.applied for result in results) == 5
    assert sorted(data(await desk.get_items("s"))) == list(range(5))


async def test_an_append_names_the_position_that_it_follows(desk: SessionManager[Chat]) -> None:
    assert (await desk.append_items("s", ["a"], expected_position=0)).success
    conflict = await desk.append_items("s", ["b"], expected_position=0)
    assert isinstance(conflict.error, SessionConflictError)
    assert (conflict.error.expected, conflict.error.actual, conflict.error.of) == (0, 1, "position")
    assert (await desk.append_items("s", ["b"], expected_position=1)).success
    seen = await desk.append_items("s", ["c"], expected_position=2, idempotency_key="k")
    again = await desk.append_items("s", ["c"], expected_position=2, idempotency_key="k")
    assert (seen.applied, again.applied, again.success) == (True, False, True)
    absent = await desk.append_items("t", ["a"], create=True, expected_position=3)
    assert isinstance(absent.error, SessionConflictError)
    assert (absent.error.expected, absent.error.actual) == (3, 0)
    assert (await desk.append_items("t", ["a"], create=True, expected_position=0)).created


async def test_an_append_of_nothing_is_an_access(desk: SessionManager[Chat], clock: ManualClock) -> None:
    await desk.append_items("s", ["a"])
    clock.advance(TTL - timedelta(seconds=1))
    touched = await desk.append_items("s", [])
    assert (touched.success, touched.applied, touched.items, touched.last_position) == (True, False, (), 1)
    clock.advance(TTL - timedelta(seconds=1))
    assert data(await desk.get_items("s", touch=False)) == ["a"]
    assert isinstance((await desk.append_items("s", [], expected_position=9)).error, SessionConflictError)
    assert isinstance((await desk.append_items("t", [])).error, SessionNotFoundError)
    assert (await desk.append_items("t", [], create=True)).created
    assert not (await desk.append_items("t", [], create=True)).created


async def test_many_appends_at_once_leave_no_holes(desk: SessionManager[Chat]) -> None:
    results = await asyncio.gather(*(desk.append_items("s", [[n, 0], [n, 1]]) for n in range(50)))
    for n, result in enumerate(results):
        first, second = positions(result)
        assert (second, data(result)) == (first + 1, [[n, 0], [n, 1]])
    read = await desk.get_items("s", limit=1000)
    assert positions(read) == list(range(1, 101))
    assert {item.position: item.data for item in read.items} == {
        item.position: item.data for result in results for item in result.items
    }


async def test_ids_are_checked_by_the_rule_for_ids(desk: SessionManager[Chat], storage: StorageProvider) -> None:
    for ids in (["m1"], ["m1", "m2", "m3"], ["m1", ""], ["m1", "\0"], ["m1", "x" * 256], "ab", 5, ["m1", 5]):
        bad: Any = ids
        with pytest.raises(ConfigurationError, match="ids"):
            await desk.append_items("s", ["a", "b"], ids=bad)
    assert data(await desk.get_items("s")) == []
