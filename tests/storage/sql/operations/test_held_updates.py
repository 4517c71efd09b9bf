"""Updates of sessions whose rows another transaction holds wait for them apart, and hold up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from sessionstore import SessionManager, SqlStorageProvider, StorageUnavailableError, open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import Chat, append, increment, new_chat
from sessionstore.updates.loop import UpdateLoop
from tests.support.bystander import locked
from tests.support.opening import in_use

FREE = [f"free{n}" for n in range(8)]
HELD = [f"held{n}" for n in range(50)]


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(url, pool_size=4, max_overflow=0) as storage:
        assert isinstance(storage, SqlStorageProvider)
        yield storage


@pytest.fixture
async def chats(storage: SqlStorageProvider) -> SessionManager[Chat]:
    """A manager with the sessions of FREE and HELD."""
    chats = SessionManager(new_chat, storage, "chat")
    await asyncio.gather(*(chats.create_session(name) for name in (*FREE, *HELD)))
    return chats


def places_taken(storage: SqlStorageProvider) -> int:
    """How many batches of updates are under way."""
    combiner = UpdateLoop.of(storage)._combiner
    assert combiner is not None
    return len(combiner._queues.here()._flights)


async def until_apart(storage: SqlStorageProvider) -> None:
    """Waits until no batch is under way any more."""
    async with asyncio.timeout(20):
        while places_taken(storage):  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("count", [1, 8, 50])
async def test_updates_of_held_rows_keep_no_place_and_land_in_their_order_when_the_rows_are_free(
    chats: SessionManager[Chat], storage: SqlStorageProvider, postgres: Database, count: int
) -> None:
    held = HELD[:count]
    with locked(postgres, *held):
        waiting = [asyncio.ensure_future(chats.update_session(name, append(n))) for n in range(3) for name in held]
        await asyncio.sleep(0)
        await until_apart(storage)
        async with asyncio.timeout(30):
            for n in range(20):
                results = await asyncio.gather(*(chats.update_session(name, increment) for name in FREE))
                assert [result.unwrap()["n"] for result in results] == [n + 1] * len(FREE)
                assert in_use(storage) <= 2  # one that polls, and one that waits for locks
        assert not any(task.done() for task in waiting)
        later = [asyncio.ensure_future(chats.update_session(name, append(3))) for name in held]
        await asyncio.sleep(0)
        await until_apart(storage)
    async with asyncio.timeout(30):
        results = await asyncio.gather(*waiting, *later)
    assert all(result.applied for result in results)
    for name in held:
        assert (await chats.get_session(name)).unwrap()["turns"] == [0, 1, 2, 3]


async def test_a_held_update_without_batching_waits_apart_as_well(url: str, postgres: Database) -> None:
    async with open_storage(url, batching=None, pool_size=4, max_overflow=0) as storage:
        assert isinstance(storage, SqlStorageProvider)
        chats = SessionManager(new_chat, storage, "chat")
        for name in ("held0", "free0"):
            await chats.create_session(name)
        with locked(postgres, "held0"):
            waiting = [asyncio.ensure_future(chats.update_session("held0", append(n))) for n in range(6)]
            async with asyncio.timeout(30):
                for n in range(20):
                    assert (await chats.update_session("free0", increment)).unwrap()["n"] == n + 1
        async with asyncio.timeout(30):
            await asyncio.gather(*waiting)
        assert sorted((await chats.get_session("held0")).unwrap()["turns"]) == [0, 1, 2, 3, 4, 5]


async def test_a_held_update_whose_callers_are_gone_is_dropped_and_its_session_is_updated_by_others(
    chats: SessionManager[Chat], storage: SqlStorageProvider, postgres: Database
) -> None:
    with locked(postgres, "held0"):
        gone = asyncio.ensure_future(chats.update_session("held0", append("gone")))
        with pytest.raises(StorageUnavailableError, match="nothing was written"):
            await chats.update_session("held0", append("late"), timeout=timedelta(seconds=0.3))
        gone.cancel()
        await asyncio.wait([gone])
    async with asyncio.timeout(30):
        assert (await chats.update_session("held0", append("next"))).unwrap()["turns"] == ["next"]


async def test_a_row_that_is_held_for_too_long_is_named(
    chats: SessionManager[Chat], postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.updates.contended._BOUND", 0.2)
    with locked(postgres, "held0"):
        async with asyncio.timeout(30):
            told = await asyncio.gather(
                *(chats.update_session("held0", increment) for _ in range(3)), return_exceptions=True
            )
    assert [type(error) for error in told] == [StorageUnavailableError] * 3
    assert len(set(map(id, told))) == 3
    assert all("another transaction holds the row of session 'held0'" in str(error) for error in told)
    assert (await chats.update_session("held0", increment)).unwrap()["n"] == 1
