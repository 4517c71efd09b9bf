"""Updates that append items: the state and the items land together, or neither lands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from sessionstore import ConfigurationError, SessionConflictError, SessionManager, SessionNotFoundError, StorageProvider
from sessionstore.storage import Document, Key, NewItem, Write

from ...support.documents import Chat, increment
from ...support.results import data
from ..given import Managed, OpenAnother


async def test_an_update_appends_items(desk: SessionManager[Chat]) -> None:
    before = await desk.get_session("s")
    updated = await desk.update_session("s", increment, append=["a", {"b": 1}])
    assert updated.unwrap()["n"] == 1
    assert [(item.position, item.data) for item in updated.items] == [(1, "a"), (2, {"b": 1})]
    assert (updated.last_position, updated.version) == (2, (before.version or 0) + 1)
    read = await desk.get_session("s", last_items=9)
    assert (read.items, read.unwrap(), read.version) == (updated.items, updated.unwrap(), updated.version)
    plain = await desk.update_session("s", increment)
    assert (plain.items, plain.last_position) == ((), 2)


async def test_an_update_appends_to_a_log_and_passes_over_ids_that_the_session_has(desk: SessionManager[Chat]) -> None:
    await desk.update_session("s", increment, append=["a"], ids=["m1"], log="agent")
    again = await desk.update_session("s", increment, append=["a", "b", "b"], ids=["m1", "m2", "m2"], log="agent")
    assert ([item.position for item in again.items], data(again)) == ([2], ["b"])
    assert (again.unwrap()["n"], again.applied) == (2, True)
    assert data(await desk.get_items("s", log="agent")) == ["a", "b"]
    assert data(await desk.get_items("s")) == []
    all_seen = await desk.update_session("s", increment, append=["a"], ids=["m1"])
    assert (all_seen.items, all_seen.last_position) == ((), 2)


async def test_an_update_that_fails_appends_nothing(desk: SessionManager[Chat]) -> None:
    version = (await desk.get_session("s")).version

    def fail(_: Chat) -> None:
        raise LookupError("nothing there")

    def spoil(state: Chat) -> None:
        state["n"] = float("nan")

    with pytest.raises(LookupError):
        await desk.update_session("s", fail, append=["x"])
    assert not (await desk.update_session("s", spoil, append=["x"])).success
    await desk.update_session("s", increment)
    conflict = await desk.update_session("s", increment, append=["x"], expected_version=version)
    assert isinstance(conflict.error, SessionConflictError)
    assert isinstance((await desk.update_session("t", increment, append=["x"])).error, SessionNotFoundError)
    with pytest.raises(ConfigurationError, match=r"^append "):
        await desk.update_session("s", increment, append="text")
    assert data(await desk.get_items("s")) == []
    assert (await desk.get_session("s")).last_position == 0


async def test_an_update_that_is_delivered_twice_appends_once(desk: SessionManager[Chat]) -> None:
    first = await desk.update_session("s", increment, append=["a"], idempotency_key="k1")
    again = await desk.update_session("s", increment, append=["a"], idempotency_key="k1")
    assert (first.applied, again.applied, again.items, again.last_position) == (True, False, (), 1)
    assert data(await desk.get_items("s")) == ["a"]


async def test_updates_and_appends_with_keys_do_not_hinder_each_other(desk: SessionManager[Chat]) -> None:
    calls: list[Any] = []
    for n in range(10):
        calls += [
            desk.update_session("s", increment, append=[["u", n]], idempotency_key=f"u{n}"),
            desk.append_items("s", [["a", n]], idempotency_key=f"a{n}"),
        ]
    results = await asyncio.gather(*calls)
    assert all(result.applied for result in results)
    assert (await desk.get_session("s")).unwrap()["n"] == 10
    read = await desk.get_items("s")
    assert [item.position for item in read.items] == list(range(1, 21))
    assert sorted(data(read)) == sorted([kind, n] for kind in "ua" for n in range(10))


async def test_updates_at_once_append_in_the_order_in_which_they_were_applied(
    desk: SessionManager[Chat], managed: Managed, open_another: OpenAnother
) -> None:
    other = managed(await open_another())

    def numbered(chats: SessionManager[Chat], n: int) -> Any:
        def add(state: Chat) -> None:
            state["turns"].append(n)
            state["n"] += 1

        return chats.update_session("s", add, append=[[n, 0], [n, 1]])

    results = await asyncio.gather(*(numbered((desk, other)[n % 2], n) for n in range(40)))
    read = await desk.get_session("s", last_items=1000)
    assert [item.position for item in read.items] == list(range(1, 81))
    assert data(read) == [[n, part] for n in read.unwrap()["turns"] for part in (0, 1)]
    for n, result in enumerate(results):
        assert data(result) == [[n, 0], [n, 1]]
        assert result.last_position == result.items[-1].position
        assert result.unwrap()["turns"][-1] == n
        place = read.unwrap()["turns"].index(n)
        assert [item.position for item in result.items] == [2 * place + 1, 2 * place + 2]


async def test_an_id_that_several_updates_append_at_once_is_appended_once(desk: SessionManager[Chat]) -> None:
    results = await asyncio.gather(
        *(desk.update_session("s", increment, append=["a", n], ids=["m1", None]) for n in range(10))
    )
    assert sum("a" in data(result) for result in results) == 1
    assert (await desk.get_session("s")).unwrap()["n"] == 10
    read = await desk.get_items("s")
    assert data(read).count("a") == 1
    assert [item.position for item in read.items] == list(range(1, 12))
    by_position = {item.position: item.data for item in read.items}
    assert all(by_position[item.position] == item.data for result in results for item in result.items)


async def test_a_failure_among_others_leaves_out_its_items_only(desk: SessionManager[Chat]) -> None:
    def fail(_: Chat) -> None:
        raise LookupError("nothing there")

    calls = [desk.update_session("s", fail if n % 3 == 1 else increment, append=[n]) for n in range(9)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [n for n, result in enumerate(results) if isinstance(result, LookupError)] == [1, 4, 7]
    assert sorted(data(await desk.get_items("s"))) == [0, 2, 3, 5, 6, 8]
    assert (await desk.get_session("s")).unwrap()["n"] == 6


async def test_long_items_of_updates_at_once_all_land(desk: SessionManager[Chat]) -> None:
    long = "x" * 900_000
    results = await asyncio.gather(*(desk.update_session("s", increment, append=[[n, long]]) for n in range(12)))
    assert [len(result.items) for result in results] == [1] * 12
    read = await desk.get_session("s", last_items=20)
    assert read.unwrap()["n"] == 12
    assert sorted(number for number, _ in data(read)) == list(range(12))
    assert [item.position for item in read.items] == list(range(1, 13))


async def test_updates_that_go_alone_append_too(storage: StorageProvider, managed: Managed) -> None:
    storage.batching = None
    chats = managed()
    await chats.create_session("s")
    await asyncio.gather(*(chats.update_session("s", increment, append=[n]) for n in range(10)))
    assert sorted(data(await chats.get_items("s"))) == list(range(10))


async def test_an_update_whose_items_have_to_be_new_is_refused_if_the_session_has_one(
    desk: SessionManager[Chat], managed: Managed, open_another: OpenAnother
) -> None:
    first = await desk.update_session("s", increment, append=["a"], ids=["m1"], only_new=True)
    assert (data(first), first.unwrap()["n"]) == (["a"], 1)
    before = await desk.get_session("s", last_items=9)
    for chats in (desk, managed(await open_another())):
        again = await chats.update_session("s", increment, append=["b", "c"], ids=["m2", "m1"], only_new=True)
        assert isinstance(again.error, SessionConflictError)
        assert (again.error.of, again.error.expected, again.error.actual) == ("ids", 0, 1)
        read = await desk.get_session("s", last_items=9)
        assert (read.unwrap(), read.items, read.version) == (before.unwrap(), before.items, before.version)
    later = await desk.update_session(
        "s", increment, append=["b"], ids=["m2"], only_new=True, expected_version=before.version
    )
    assert (data(later), later.unwrap()["n"]) == (["b"], 2)
    version = await desk.update_session(
        "s", increment, append=["b"], ids=["m2"], only_new=True, expected_version=before.version
    )
    assert isinstance(version.error, SessionConflictError)
    assert version.error.of == "version"


async def test_one_of_concurrent_updates_with_a_new_item_of_one_id_lands_beside_other_updates(
    desk: SessionManager[Chat],
) -> None:
    await desk.create_session("t")
    calls = [
        desk.update_session("st"[n % 2], increment, append=["a", n], ids=["m1", None] if n % 3 else None, only_new=True)
        for n in range(24)
    ]
    results = await asyncio.gather(*calls)
    refused = [n for n, result in enumerate(results) if isinstance(result.error, SessionConflictError)]
    assert len(refused) == 14
    assert all(n % 3 for n in refused)
    for session_id, parity in (("s", 0), ("t", 1)):
        landed = {n for n in range(parity, 24, 2) if n not in refused}
        read = await desk.get_session(session_id, last_items=99)
        assert read.unwrap()["n"] == len(landed) == 5
        assert {it for it in data(read) if it != "a"} == landed


async def test_a_provider_writes_nothing_of_a_batch_with_an_item_that_is_not_new(
    desk: SessionManager[Chat], storage: StorageProvider
) -> None:
    await desk.create_session("t")
    await desk.update_session("s", increment, append=["a"], ids=["m1"])
    keys = [Key("chat", "s"), Key("chat", "t")]
    items = [NewItem("1", "m1", only_new=True)]

    def writes(documents: Sequence[Document | None]) -> list[Write]:
        return [Write(it.summary, '{"n":9,"turns":[]}', items=items) for it in documents if it is not None]

    documents = await storage.get_many(keys)
    with pytest.raises(SessionConflictError):
        await storage.update_many(writes(documents))
    with pytest.raises(SessionConflictError):
        await storage.update_locked_many(keys, lambda document: writes([document])[0])
    assert [it and it.summary.version for it in await storage.get_many(keys)] == [
        it and it.summary.version for it in documents
    ]
    assert data(await desk.get_items("t")) == []
