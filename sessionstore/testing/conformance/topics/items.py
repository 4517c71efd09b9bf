"""Items: the log of a conversation."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from sessionstore import (
    ConfigurationError,
    InvalidSessionIdError,
    InvalidStateError,
    Item,
    ItemNotFoundError,
    SessionConflictError,
    SessionManager,
    SessionNotFoundError,
    SessionResult,
    StateTooLargeError,
    StorageProvider,
)

from ...clock import ManualClock
from ...support.documents import TTL, Chat, increment, new_chat
from ..given import Managed, OpenAnother

HOSTILE: list[Any] = [
    None,
    {"z": 1, "a": {"b": [1, 2.0, -0.0, 1e16]}, "A": None},
    "a\0b",
    "\ud800",
    10**400,
    [],
    {},
    True,
    0,
    "x" * 10_000,
    {"\0": {"\udfff": "\u2028"}},
    [[[[1]]]],
]


def data(result: SessionResult[Any, Any]) -> list[Any]:
    assert result.error is None, result.error
    return [item.data for item in result.items]


def positions(result: SessionResult[Any, Any]) -> list[int]:
    assert result.error is None, result.error
    return [item.position for item in result.items]


@pytest_asyncio.fixture(loop_scope="function")
async def desk(managed: Managed) -> SessionManager[Chat]:
    desk = managed()
    await desk.create_session("s")
    return desk


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


async def test_items_come_out_as_they_went_in(desk: SessionManager[Chat]) -> None:
    assert repr(data(await desk.append_items("s", HOSTILE))) == repr(HOSTILE)
    assert repr(data(await desk.get_items("s"))) == repr(HOSTILE)
    for item in HOSTILE:
        assert repr(data(await desk.append_items("s", [item]))) == repr([item])
    popped = await desk.pop_items("s", len(HOSTILE))
    assert repr(data(popped)) == repr(HOSTILE)


async def test_the_copies_of_a_result_are_the_callers_own(desk: SessionManager[Chat]) -> None:
    given: list[Any] = [{"role": "user"}]
    appended = await desk.append_items("s", given)
    appended.items[0].data["role"] = given[0]["role"] = "changed"  # type: ignore[call-overload, index]
    assert data(await desk.get_items("s")) == [{"role": "user"}]


async def test_an_append_leaves_the_version_and_the_state_alone(desk: SessionManager[Chat]) -> None:
    before = await desk.get_session("s")
    appended = await desk.append_items("s", [1])
    after = await desk.get_session("s", last_items=5)
    assert appended.version == before.version == after.version
    assert (await desk.update_session("s", increment, expected_version=before.version)).success
    assert (after.unwrap(), data(after)) == (before.unwrap(), [1])


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


async def test_logs_share_the_positions_of_their_session(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", ["a"])
    await desk.append_items("s", ["x"], log="agent-2")
    await desk.append_items("s", ["b"])
    assert [(it.position, it.data) for it in (await desk.get_items("s")).items] == [(1, "a"), (3, "b")]
    assert [(it.position, it.data) for it in (await desk.get_items("s", log="agent-2")).items] == [(2, "x")]
    assert data(await desk.get_session("s", last_items=9, log="agent-2")) == ["x"]
    assert data(await desk.pop_items("s", 5, log="agent-2")) == ["x"]
    assert data(await desk.get_items("s")) == ["a", "b"]


async def test_what_is_delivered_twice_is_appended_once(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", ["a", "b"], ids=["m1", None])
    again = await desk.append_items("s", ["a", "c", "d"], ids=["m1", "m2", None])
    assert (data(again), positions(again), again.applied) == (["c", "d"], [3, 4], True)
    once_more = await desk.append_items("s", ["a", "c"], ids=["m1", "m2"])
    assert (once_more.items, once_more.applied, once_more.success, once_more.last_position) == ((), False, True, 4)
    assert data(await desk.get_items("s")) == ["a", "b", "c", "d"]
    other = await desk.append_items("s", ["a"], ids=["m1"], log="other")
    assert other.items == ()


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


async def test_of_equal_ids_in_one_call_the_first_wins(desk: SessionManager[Chat]) -> None:
    appended = await desk.append_items("s", ["a", "b", "c"], ids=["m1", "m1", "m2"])
    assert (data(appended), positions(appended)) == (["a", "c"], [1, 2])
    assert data(await desk.get_items("s")) == ["a", "c"]


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


async def test_of_appends_that_create_at_once_one_creates_and_none_is_lost(
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


async def test_appends_pops_and_edits_are_accesses(desk: SessionManager[Chat], clock: ManualClock) -> None:
    later = TTL - timedelta(seconds=1)
    for call in (
        lambda: desk.append_items("s", ["a", "b"]),
        lambda: desk.get_items("s"),
        lambda: desk.pop_items("s"),
        lambda: desk.replace_item("s", 1, "c"),
        lambda: desk.trim_items("s", 1),
        lambda: desk.replace_items("s", ["d"]),
        lambda: desk.update_session("s", increment, append=["e"]),
    ):
        clock.advance(later)
        assert (await call()).success
    read = await desk.get_items("s", touch=False)
    assert data(read) == ["d", "e"]
    assert read.metadata is not None
    assert read.metadata.updated_at == clock.now


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


async def test_another_owners_session_is_not_found(desk: SessionManager[Chat]) -> None:
    await desk.create_session("t", items=["a"], ids=["m1"], owner_id="u1")
    for call in (
        desk.append_items("t", ["b"], owner_id="u2"),
        desk.append_items("t", ["b"], owner_id="u2", create=True),
        desk.append_items("t", [], owner_id="u2", create=True),
        desk.get_items("t", owner_id="u2"),
        desk.get_session("t", last_items=1, owner_id="u2"),
        desk.pop_items("t", owner_id="u2"),
        desk.replace_items("t", [], owner_id="u2"),
        desk.replace_item("t", 1, "x", owner_id="u2"),
        desk.trim_items("t", 0, owner_id="u2"),
        desk.update_session("t", increment, append=["b"], owner_id="u2"),
        desk.append_items("s", ["b"], owner_id="u2"),
    ):
        result: SessionResult[Any, Any] = await call
        assert isinstance(result.error, SessionNotFoundError)
        assert (result.items, result.metadata) == ((), None)
    assert data(await desk.get_items("t", owner_id="u1")) == ["a"]
    assert data(await desk.append_items("t", ["b"], owner_id="u1")) == ["b"]


async def test_items_end_with_their_session(desk: SessionManager[Chat], clock: ManualClock) -> None:
    await desk.append_items("s", ["a", "b"], ids=["m1", None])
    clock.advance(2 * TTL)
    for gone in (await desk.get_items("s"), await desk.append_items("s", ["c"]), await desk.pop_items("s")):
        assert isinstance(gone.error, SessionNotFoundError)
    assert (await desk.create_session("s")).last_position == 0
    assert data(await desk.get_items("s")) == []
    assert positions(await desk.append_items("s", ["c"], ids=["m1"])) == [1]
    await desk.delete_session("s")
    assert isinstance((await desk.get_items("s")).error, SessionNotFoundError)
    created = await desk.append_items("s", ["d"], create=True)
    assert (positions(created), data(await desk.get_items("s"))) == ([1], ["d"])


async def test_an_item_that_cannot_be_stored_is_named_and_nothing_is_appended(
    desk: SessionManager[Chat], managed: Managed
) -> None:
    bad: list[Any] = ["a", {"b": [float("nan")]}]
    short = managed(max_item_bytes=10)
    for call in (
        desk.append_items("s", bad),
        desk.append_items("t", bad, create=True),
        desk.create_session("t", items=bad),
        desk.replace_items("s", bad),
        desk.update_session("s", increment, append=bad),
    ):
        result: SessionResult[Any, Any] = await call
        assert isinstance(result.error, InvalidStateError)
        assert result.error.path == "$[1].b[0]"
    too_long = await short.append_items("s", ["a", "x" * 9])
    assert isinstance(too_long.error, StateTooLargeError)
    assert (too_long.error.path, too_long.error.size, too_long.error.limit) == ("$[1]", 11, 10)
    assert (await desk.get_session("s")).unwrap() == new_chat("s")
    assert (await desk.get_session("s")).last_position == 0
    assert not (await desk.get_session("t")).success


async def test_a_bad_session_id_is_an_error_of_the_result(desk: SessionManager[Chat]) -> None:
    for call in (
        desk.append_items("", ["a"]),
        desk.append_items("a\0b", ["a"], create=True),
        desk.get_items(""),
        desk.pop_items(""),
        desk.replace_items("", []),
        desk.replace_item("", 1, "x"),
        desk.trim_items("", 1),
    ):
        result: SessionResult[Any, Any] = await call
        assert isinstance(result.error, InvalidSessionIdError)


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
