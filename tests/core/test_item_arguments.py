"""Arguments of the calls on items that cannot work: refused by their names, before the storage is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from sessionstore import ConfigurationError, MemoryStorageProvider, SessionManager
from sessionstore.storage.journal import MOST_ITEMS

Desk = SessionManager[Any]
Call = Callable[[Desk, Any], Awaitable[Any]]


@pytest.fixture
async def desk() -> Desk:
    desk: Desk = SessionManager(lambda session_id: {"id": session_id})
    await desk.create_session("s", items=["a"])
    return desk


NUMBERS = [True, 1.0, "1", -1, 2**63, -(10**5000), 10**5000, [1], timedelta(1)]

COUNTS: dict[str, Call] = {
    "last_items": lambda desk, bad: desk.get_session("s", last_items=bad),
    "last": lambda desk, bad: desk.get_items("s", last=bad),
    "limit": lambda desk, bad: desk.get_items("s", limit=bad),
    "count": lambda desk, bad: desk.pop_items("s", bad),
    "keep": lambda desk, bad: desk.trim_items("s", bad),
    "position": lambda desk, bad: desk.replace_item("s", bad, "x"),
}
POSITIONS: dict[str, Call] = {
    "after": lambda desk, bad: desk.get_items("s", after=bad),
    "before": lambda desk, bad: desk.get_items("s", before=bad),
    "until": lambda desk, bad: desk.fork_session("s", until=bad),
    "expected_position": lambda desk, bad: desk.append_items("s", ["b"], expected_position=bad),
}
OF_REPLACING: dict[str, Call] = {
    "after": lambda desk, bad: desk.replace_items("s", [], after=bad),
    "expected_position": lambda desk, bad: desk.replace_items("s", [], expected_position=bad),
}


@pytest.mark.parametrize("bad", NUMBERS, ids=lambda bad: ascii(bad)[:20] if type(bad) is not int else f"{bad:#x}"[:20])
@pytest.mark.parametrize(
    ("name", "call"), [*COUNTS.items(), *POSITIONS.items(), *OF_REPLACING.items()], ids=lambda it: it or None
)
async def test_a_number_that_is_none_is_refused_by_its_name(desk: Desk, name: str, call: Call, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} "):
        await call(desk, bad)
    assert [item.data for item in (await desk.get_items("s")).items] == ["a"]


async def test_numbers_at_the_edge_work(desk: Desk) -> None:
    most = 2**63 - 1
    for result in (
        await desk.get_session("s", last_items=most),
        await desk.get_items("s", last=most),
        await desk.get_items("s", limit=most),
        await desk.get_items("s", before=most),
        await desk.trim_items("s", most),
        await desk.pop_items("s", 0),
        await desk.fork_session("s", until=most),
    ):
        assert result.success
    assert (await desk.get_items("s", after=most)).items == ()
    assert len((await desk.pop_items("s", most)).items) == 1
    with pytest.raises(ConfigurationError, match="limit"):
        await desk.get_items("s", limit=0)


WITH_ITEMS: list[Call] = [
    lambda desk, bad: desk.append_items("s", bad),
    lambda desk, bad: desk.create_session("t", items=bad),
    lambda desk, bad: desk.replace_items("s", bad),
]


@pytest.mark.parametrize(
    "bad", ["text", b"bytes", {"role": "user"}, {1, 2}, None, 5, iter(["a"])], ids=lambda bad: type(bad).__name__
)
@pytest.mark.parametrize("call", WITH_ITEMS)
async def test_items_that_are_no_list_are_refused(desk: Desk, call: Call, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^items "):
        await call(desk, bad)


async def test_a_tuple_of_items_is_accepted_like_a_list(desk: Desk) -> None:
    assert len((await desk.append_items("s", ("b", "c"), ids=("m1", None))).items) == 2


async def test_more_items_than_a_journal_counts_are_refused(desk: Desk) -> None:
    with pytest.raises(ConfigurationError, match="items"):
        await desk.append_items("s", range(MOST_ITEMS + 1))


WITH_LOG: list[Call] = [
    lambda desk, bad: desk.append_items("s", ["b"], log=bad),
    lambda desk, bad: desk.create_session("t", items=["b"], log=bad),
    lambda desk, bad: desk.get_session("s", last_items=1, log=bad),
    lambda desk, bad: desk.get_items("s", log=bad),
    lambda desk, bad: desk.pop_items("s", log=bad),
    lambda desk, bad: desk.replace_items("s", [], log=bad),
    lambda desk, bad: desk.replace_item("s", 1, "x", log=bad),
    lambda desk, bad: desk.trim_items("s", 1, log=bad),
    lambda desk, bad: desk.update_session("s", lambda _: None, append=["b"], log=bad),
]


@pytest.mark.parametrize("bad", ["a\0", "\ud800", "x" * 256, None, 5, b"a"], ids=lambda bad: ascii(bad)[:20])
@pytest.mark.parametrize("call", WITH_LOG)
async def test_an_invalid_name_of_a_log_is_refused(desk: Desk, call: Call, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^the log "):
        await call(desk, bad)


WITH_OWNER: list[Call] = [
    lambda desk, bad: desk.append_items("s", ["b"], owner_id=bad),
    lambda desk, bad: desk.get_items("s", owner_id=bad),
    lambda desk, bad: desk.list_logs("s", owner_id=bad),
    lambda desk, bad: desk.find_item("m", owner_id=bad),
    lambda desk, bad: desk.pop_items("s", owner_id=bad),
    lambda desk, bad: desk.replace_items("s", [], owner_id=bad),
    lambda desk, bad: desk.replace_item("s", 1, "x", owner_id=bad),
    lambda desk, bad: desk.trim_items("s", 1, owner_id=bad),
    lambda desk, bad: desk.fork_session("s", owner_id=bad),
    lambda desk, bad: desk.list_sessions(owner_id=bad),
]


@pytest.mark.parametrize("bad", ["", "a\0", 5])
@pytest.mark.parametrize("call", WITH_OWNER)
async def test_an_invalid_owner_is_refused(desk: Desk, call: Call, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match="owner_id"):
        await call(desk, bad)


WITH_TIMEOUT: list[Call] = [
    lambda desk, bad: desk.append_items("s", ["b"], timeout=bad),
    lambda desk, bad: desk.get_items("s", timeout=bad),
    lambda desk, bad: desk.list_logs("s", timeout=bad),
    lambda desk, bad: desk.find_item("m", timeout=bad),
    lambda desk, bad: desk.pop_items("s", timeout=bad),
    lambda desk, bad: desk.replace_items("s", [], timeout=bad),
    lambda desk, bad: desk.replace_item("s", 1, "x", timeout=bad),
    lambda desk, bad: desk.trim_items("s", 1, timeout=bad),
    lambda desk, bad: desk.fork_session("s", timeout=bad),
    lambda desk, bad: desk.list_sessions(timeout=bad),
]


@pytest.mark.parametrize("bad", [5, 1.5, timedelta(0), timedelta(seconds=-1)])
@pytest.mark.parametrize("call", WITH_TIMEOUT)
async def test_an_invalid_timeout_is_refused(desk: Desk, call: Call, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        await call(desk, bad)
    assert [item.data for item in (await desk.get_items("s")).items] == ["a"]


@pytest.mark.parametrize("bad", ["", "a\0", "x" * 256, None, 5])
async def test_an_invalid_id_of_an_item_is_refused(desk: Desk, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match="item_id"):
        await desk.find_item(bad)
    with pytest.raises(ConfigurationError, match=r"ids\[1\]"):
        await desk.get_items("s", ids=["m1", bad])
    with pytest.raises(ConfigurationError, match=r"^ids "):
        await desk.get_items("s", ids="m1")


@pytest.mark.parametrize("both", [{"last": 1}, {"after": 0}, {"before": 5}])
async def test_ids_and_positions_exclude_each_other(desk: Desk, both: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="ids"):
        await desk.get_items("s", ids=["m1"], **both)


@pytest.mark.parametrize(
    "bad",
    [0, -1, True, 1.0, "1", 2**31, 10**5000],
    ids=lambda bad: f"{bad!r:.10}" if type(bad) is not int else hex(bad)[:10],
)
@pytest.mark.parametrize("name", ["keep_items", "max_item_bytes"])
def test_a_setting_that_cannot_work_is_refused(name: str, bad: Any) -> None:
    settings: dict[str, Any] = {name: bad}
    with pytest.raises(ConfigurationError, match=name):
        SessionManager(lambda session_id: {"id": session_id}, MemoryStorageProvider(), **settings)


async def test_an_exception_of_the_default_state_reaches_the_caller() -> None:
    def fail(_: str) -> dict[str, Any]:
        raise LookupError("no template")

    desk: Desk = SessionManager(fail)
    with pytest.raises(LookupError, match="no template"):
        await desk.append_items("s", ["a"], create=True)
    assert not (await desk.append_items("s", ["a"])).success


@pytest.mark.parametrize("bad", [1, "result", (1, 2, 3)])
async def test_only_the_result_of_a_call_is_accepted_as_unchanged_since(desk: Desk, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^unchanged_since must be the result of a call, not"):
        await desk.replace_items("s", [], unchanged_since=bad)
    absent = await desk.get_items("t")
    with pytest.raises(ConfigurationError, match=r"^unchanged_since must be the result of a call that found"):
        await desk.replace_items("s", [], unchanged_since=absent)
