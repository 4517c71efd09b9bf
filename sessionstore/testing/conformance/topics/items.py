"""Items: promises that every call on items keeps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sessionstore import (
    InvalidSessionIdError,
    InvalidStateError,
    SessionManager,
    SessionNotFoundError,
    SessionResult,
    StateTooLargeError,
)

from ...clock import ManualClock
from ...support.documents import TTL, Chat, increment, new_chat
from ...support.results import data, positions
from ..given import Managed

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


async def test_logs_share_the_positions_of_their_session(desk: SessionManager[Chat]) -> None:
    await desk.append_items("s", ["a"])
    await desk.append_items("s", ["x"], log="agent-2")
    await desk.append_items("s", ["b"])
    assert [(it.position, it.data) for it in (await desk.get_items("s")).items] == [(1, "a"), (3, "b")]
    assert [(it.position, it.data) for it in (await desk.get_items("s", log="agent-2")).items] == [(2, "x")]
    assert data(await desk.get_session("s", last_items=9, log="agent-2")) == ["x"]
    assert data(await desk.pop_items("s", 5, log="agent-2")) == ["x"]
    assert data(await desk.get_items("s")) == ["a", "b"]


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
