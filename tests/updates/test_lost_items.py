"""Items of updates whose answers are lost, are combined, or are left for the next write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessionstore import SessionManager, SessionResult
from sessionstore.storage.journal import APPENDS
from sessionstore.testing.support.documents import Chat, append, increment, new_chat
from sessionstore.updates import rounds

from .test_lost import LosingStorage


@pytest.fixture
async def storage() -> LosingStorage:
    return LosingStorage()


@pytest.fixture
async def desk(storage: LosingStorage) -> SessionManager[Any]:
    desk: SessionManager[Any] = SessionManager(new_chat, storage, "chat")
    await desk.create_session("s")
    return desk


def placed(result: SessionResult[Any, Any]) -> list[tuple[int, Any]]:
    assert result.error is None, result.error
    return [(item.position, item.data) for item in result.items]


@pytest.mark.parametrize("lands", [[True], [False], [False, True], [False] * 3])
async def test_a_lost_update_appends_its_items_once(
    storage: LosingStorage, desk: SessionManager[Chat], lands: list[bool]
) -> None:
    storage.lands = lands
    updated = await desk.update_session("s", increment, append=["a", "b"])
    assert placed(updated) == [(1, "a"), (2, "b")]
    assert (updated.unwrap()["n"], updated.last_position) == (1, 2)
    assert placed(await desk.get_session("s", last_items=9)) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("lands", [True, False])
async def test_the_result_has_the_positions_although_others_appended_meanwhile(
    storage: LosingStorage, desk: SessionManager[Chat], lands: bool
) -> None:
    async def meanwhile() -> None:
        for n in range(3):
            await SessionManager(new_chat, storage, "chat").append_items("s", [n, n])

    storage.lands, storage.meanwhile = [lands], meanwhile
    updated = await desk.update_session("s", increment, append=["a", "b"])
    read = placed(await desk.get_items("s"))
    assert placed(updated) == [place for place in read if place[1] in ("a", "b")]
    assert placed(updated)[0][0] == (1 if lands else 7)
    assert updated.last_position == placed(updated)[1][0]
    assert len(read) == 8


async def test_the_result_leaves_out_positions_that_are_not_known_any_more(
    storage: LosingStorage, desk: SessionManager[Chat]
) -> None:
    async def meanwhile() -> None:
        for n in range(APPENDS):
            await SessionManager(new_chat, storage, "chat").append_items("s", [n])

    storage.lands, storage.meanwhile = [True], meanwhile
    updated = await desk.update_session("s", increment, append=["a"])
    assert (updated.success, updated.items, updated.unwrap()["n"]) == (True, (), 1)
    assert placed(await desk.get_items("s", limit=1)) == [(1, "a")]


async def test_the_result_leaves_out_passed_over_items_even_after_a_lost_answer(
    storage: LosingStorage, desk: SessionManager[Chat]
) -> None:
    await desk.append_items("s", ["a"], ids=["m1"])
    storage.lands = [True]
    updated = await desk.update_session("s", increment, append=["a"], ids=["m1"])
    assert (placed(updated), updated.last_position) == ([], 1)


async def test_each_caller_of_a_lost_write_gets_its_own_items(
    storage: LosingStorage, desk: SessionManager[Chat]
) -> None:
    storage.lands = [False, True, True]
    results = await asyncio.gather(*(desk.update_session("s", append(n), append=[n, -n]) for n in range(1, 9)))
    read = dict(placed(await desk.get_items("s")))
    for n, result in enumerate(results, start=1):
        (first, _), (second, _) = placed(result)
        assert (read[first], read[second], second) == (n, -n, first + 1)
        assert result.last_position == second
    assert len(read) == 16


async def test_an_update_with_a_key_lands_after_appends_with_keys(
    storage: LosingStorage, desk: SessionManager[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append adds its key without a new version. A write that was made before is made anew, and takes no lock."""

    async def lock(*_: object) -> None:
        raise AssertionError("no other transaction holds the row")

    monkeypatch.setattr(storage, "update_locked_many", lock)
    await desk.update_session("s", increment, append=["a"], idempotency_key="k1")
    for n in range(5):
        other = SessionManager(new_chat, storage, "chat")
        assert (await other.append_items("s", [n], idempotency_key=f"a{n}")).applied
        updated = await desk.update_session("s", increment, append=["b"], idempotency_key=f"b{n}")
        assert updated.applied
        assert not (await desk.update_session("s", increment, idempotency_key=f"a{n}")).applied
    assert (await desk.get_session("s")).unwrap()["n"] == 6


@pytest.mark.parametrize("soon_locked", [False, True])
async def test_items_that_are_too_long_together_go_in_several_writes(
    storage: LosingStorage, desk: SessionManager[Chat], soon_locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if soon_locked:
        monkeypatch.setattr(rounds, "OPTIMISTIC_ROUNDS", 0)
    monkeypatch.setattr("sessionstore.storage.harvest.BATCH_CHARS", 25)
    results = await asyncio.gather(
        *(desk.update_session("s", append(n), append=[f"{n:08}"]) for n in range(20)),
        *(desk.update_session("s", increment) for _ in range(20)),
        desk.update_session("s", increment, append=["x" * 100]),
    )
    assert all(result.success for result in results)
    read = await desk.get_session("s", last_items=50)
    assert read.unwrap()["n"] == 21
    assert [item.data for item in read.items if item.data != "x" * 100] == [f"{n:08}" for n in read.unwrap()["turns"]]
    assert len(read.items) == 21
