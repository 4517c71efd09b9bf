"""Callers of a batch that are cancelled before, while and after their updates are applied."""

from __future__ import annotations

import asyncio

import pytest

from sessionstore.testing.support.documents import append, increment

from ..support.gated import GatedStorage, desk_on, together
from ..support.sender import begun, turns

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def storage() -> GatedStorage:
    return GatedStorage()


async def test_an_update_cancelled_while_it_waits_is_not_applied(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    storage.reading.hold()
    first, *others = await begun(*(desk.update_session("s", append(n)) for n in range(4)))
    others[1].cancel()
    storage.reading.release()
    assert (await first).unwrap()["turns"] == [0]
    assert [(await others[n]).unwrap()["turns"] for n in (0, 2)] == [[0, 1], [0, 1, 3]]
    assert others[1].cancelled()
    assert storage.writes == [{"s": 1}, {"s": 2}]


async def test_an_update_cancelled_while_its_session_is_read_is_not_applied(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    storage.reading.hold()
    lone = await begun(desk.update_session("nobody", increment))
    tasks = await begun(*(desk.update_session("s", append(n)) for n in range(3)))
    storage.reading.release()
    storage.reading.hold()
    await turns()
    assert storage.reads[-1] == ["s"]
    tasks[0].cancel()
    storage.reading.release()
    await asyncio.gather(*lone, *tasks[1:])
    assert (await desk.get_session("s")).unwrap()["turns"] == [1, 2]


async def test_an_update_cancelled_before_its_part_is_written_is_not_applied(storage: GatedStorage) -> None:
    names = [f"s{n}" for n in range(7)]
    desk = await desk_on(storage, *names)
    large = append("x" * 900_000)
    storage.writing.hold()
    calls = [*(desk.update_session(name, large) for name in names), desk.update_session("s6", append("small"))]
    tasks = await together(storage, desk, *calls)
    assert storage.writes == [dict.fromkeys(names[:4], 1)]
    # All updates are applied, and the second part of the write waits for the first.
    tasks[6].cancel()
    await turns()
    storage.writing.release()
    results = await asyncio.gather(*tasks[:6], tasks[7])
    assert storage.writes[1:] == [dict.fromkeys(names[4:], 1)]
    assert results[-1].unwrap()["turns"] == ["small"]
    assert (await desk.get_session("s6")).unwrap()["turns"] == ["small"]


async def test_an_update_cancelled_while_it_is_written_does_not_cancel_the_others(storage: GatedStorage) -> None:
    desk = await desk_on(storage, "s")
    storage.writing.hold()
    tasks = await together(storage, desk, *(desk.update_session("s", append(n)) for n in range(3)))
    tasks[1].cancel()
    await turns()
    assert tasks[1].cancelled()
    storage.writing.release()
    assert [(await tasks[n]).unwrap()["turns"] for n in (0, 2)] == [[0], [0, 1, 2]]
