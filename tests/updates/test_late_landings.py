"""A write whose answer was lost lands late: version, state and metadata of a result belong to one write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from sessionstore import MemoryStorageProvider, SessionManager, SessionResult, UpdateOutcomeUnknownError
from sessionstore.batching import Batching
from sessionstore.ids import Version
from sessionstore.storage import Apply, Document, Key, Summary, Write
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.support.documents import Chat, append, draft, key, new_chat

from ..support.sender import begun, turns


class LateStorage(MemoryStorageProvider):
    """A memory storage whose next write lands late: its answer is lost, and it lands just before the next write.

    Attributes:
        late: Whether the next write is late.
        lost_after: Whether the answer to the next write is lost although the write landed at once.
        reading: Reads wait until it is set.
        arrived: Set when a late write was sent.
        go_on: Set by the test to let the late write report its loss.
        others: How many writes of other callers land after the late write, before the next read.
        stored: The state that was stored at each version.
    """

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock, batching=Batching(concurrency=1))
        self.late = self.lost_after = False
        self.reading = asyncio.Event()
        self.reading.set()
        self.arrived, self.go_on = asyncio.Event(), asyncio.Event()
        self.others = 0
        self.stored: dict[int, Document] = {}
        self._clock = clock
        self._under_way: list[Write] = []

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        await self.reading.wait()
        return await super().get_many(keys, **options)

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        if self.late:
            self.late = False
            self._under_way += writes
            self.arrived.set()
            await self.go_on.wait()
            raise UpdateOutcomeUnknownError("lost")
        await self._land()
        written = await self._stored(writes)
        if self.lost_after:
            self.lost_after = False
            self.arrived.set()
            await self.go_on.wait()
            raise UpdateOutcomeUnknownError("lost")
        return written

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        await self._land()
        return await super().update_locked_many(keys, apply)

    async def _land(self) -> None:
        under_way, self._under_way = self._under_way, []
        await self._stored(under_way)
        for _ in range(self.others if under_way else 0):
            (found,) = await self.get_many([key()], touch=False)
            assert found is not None
            await self._stored([Write(found.summary, found.state.replace('"turns":[', '"turns":["other",'))])

    async def _stored(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        self._clock.advance(timedelta(seconds=1))
        landed = await super().update_many(writes)
        for write, summary in zip(writes, landed, strict=True):
            if summary is not None:
                self.stored[summary.version] = Document(write.state, summary)
        return landed


@pytest.fixture
def storage(clock: ManualClock) -> LateStorage:
    return LateStorage(clock)


@pytest.fixture
async def desk(storage: LateStorage) -> SessionManager[Chat]:
    desk = SessionManager(new_chat, storage, "chat")
    await desk.create_session("s", owner_id="ann")
    storage.late = True
    return desk


def say(words: Callable[[], object]) -> Callable[[Chat], None]:
    """An update that appends another text each time that it is applied."""
    return lambda state: state["turns"].append(words())


def assert_one_truth(storage: LateStorage, *results: SessionResult[Chat]) -> None:
    """Checks that the state of each result is the state that was stored under its version."""
    for result in results:
        assert result.version is not None
        stored = storage.stored[result.version]
        assert result.data == json.loads(stored.state)
        assert result.metadata is not None
        assert result.metadata.owner_id == stored.summary.owner_id
        assert isinstance(result.version, Version)
        assert result.version.write == stored.summary.last_write


async def test_the_state_of_a_result_is_the_state_stored_under_its_version(
    storage: LateStorage, desk: SessionManager[Chat]
) -> None:
    storage.go_on.set()
    words = count()
    result = await desk.update_session("s", say(lambda: next(words)))
    found = await desk.get_session("s", touch=False)
    assert (result.version, result.data, result.metadata) == (found.version, found.data, found.metadata)
    assert result.unwrap()["turns"] == [0]
    assert_one_truth(storage, result)


async def test_the_state_of_a_result_is_that_of_the_late_write_although_others_wrote_after_it(
    storage: LateStorage, desk: SessionManager[Chat]
) -> None:
    storage.go_on.set()
    storage.others = 2
    words = count()
    result = await desk.update_session("s", say(lambda: next(words)))
    assert result.unwrap()["turns"] == [0]
    assert_one_truth(storage, result)
    assert (await desk.get_session("s")).unwrap()["turns"] == ["other", "other", 0]


@pytest.mark.parametrize("others", [0, 1])
async def test_a_result_contains_the_change_of_a_cancelled_caller_that_was_in_the_same_write(
    storage: LateStorage, desk: SessionManager[Chat], others: int
) -> None:
    storage.late, storage.others = False, others
    storage.reading.clear()
    first, gone, kept, failed = await begun(
        desk.update_session("s", append("warm")),
        desk.update_session("s", append("A")),
        desk.update_session("s", append("B")),
        desk.update_session("s", lambda state: {**state, "n": float("nan")}),
    )
    storage.reading.set()
    await first
    storage.late = True
    await storage.arrived.wait()
    gone.cancel()
    await turns()
    storage.go_on.set()
    result = await kept
    assert result.unwrap()["turns"] == ["warm", "A", "B"]
    assert_one_truth(storage, first.result(), result)
    assert not (await failed).success
    read = (await desk.get_session("s")).unwrap()["turns"]
    assert [turn for turn in read if turn != "other"] == ["warm", "A", "B"]


async def test_two_writes_of_one_update_are_lost_and_the_first_lands_last(
    storage: LateStorage, desk: SessionManager[Chat]
) -> None:
    storage.go_on.set()
    words = count()
    lost = iter([True, True])
    plain = storage.get_many

    async def reading(keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        storage.late = next(lost, False)
        return await plain(keys, **options)

    storage.get_many = reading  # type: ignore[method-assign]
    result = await desk.update_session("s", say(lambda: next(words)))
    assert result.unwrap()["turns"] == [0]
    assert_one_truth(storage, result)
    assert (await desk.get_session("s", touch=False)).unwrap()["turns"] == [0]


async def test_an_update_that_needs_the_change_of_a_cancelled_caller_succeeds_with_their_late_write(
    storage: LateStorage, desk: SessionManager[Chat]
) -> None:
    storage.late = False
    storage.reading.clear()
    first, gone = await begun(desk.update_session("s", append("warm")), desk.update_session("s", append("A")))
    (kept,) = await begun(desk.update_session("s", lambda state: state["turns"].insert(2, state["turns"][1] + "B")))
    storage.reading.set()
    await first
    storage.late = True
    await storage.arrived.wait()
    gone.cancel()
    await turns()
    storage.go_on.set()
    result = await kept
    assert result.unwrap()["turns"] == ["warm", "A", "AB"]
    assert_one_truth(storage, result)


async def test_an_update_is_not_reported_as_failed_while_its_first_write_may_still_land(
    storage: LateStorage, desk: SessionManager[Chat]
) -> None:
    storage.go_on.set()
    words = iter(["only once"])
    result = await desk.update_session("s", say(lambda: next(words)))
    assert result.unwrap()["turns"] == ["only once"]
    assert_one_truth(storage, result)
    assert (await desk.get_session("s", touch=False)).unwrap()["turns"] == ["only once"]


@pytest.mark.parametrize("found", ["before", "behind"])
async def test_an_update_is_not_done_again_in_a_session_that_was_created_at_the_same_instant(
    storage: LateStorage, desk: SessionManager[Chat], found: str
) -> None:
    storage.late, storage.lost_after = False, True
    (lost,) = await begun(desk.update_session("s", append("once")))
    await storage.arrived.wait()
    (landed,) = await storage.get_many([key()], touch=False)
    assert landed is not None
    storage._documents.clear()
    version = landed.summary.version + (-(2**30) if found == "before" else 2**30)
    assert (await storage.create(draft(state=landed.state, version=abs(version)))).created
    born = storage._documents[key()]
    same_time = born.summary._replace(created_at=landed.summary.created_at)
    storage._documents[key()] = born._replace(summary=same_time)
    storage.go_on.set()
    with pytest.raises(UpdateOutcomeUnknownError):
        await lost
    assert (await desk.get_session("s", touch=False)).unwrap()["turns"] == ["once"]
