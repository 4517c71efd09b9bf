"""Updates whose answers are lost: the journal of the row tells whether they landed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from sessionstore import (
    MemoryStorageProvider,
    SessionManager,
    SessionNotFoundError,
    SessionResult,
    StorageError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)
from sessionstore.concurrency import retry_window as patience
from sessionstore.storage import Apply, Document, Key, Summary, Write
from sessionstore.storage.journal import WRITES
from sessionstore.testing.support.documents import Chat, append, increment, key, new_chat


class LosingStorage(MemoryStorageProvider):
    """A memory storage that loses the answers to some writes.

    Attributes:
        lands: Whether each of the next writes lands before its answer is lost. Later writes are answered.
        away: How many rounds fail after the losses.
        away_with: The error of these rounds.
        meanwhile: Is called between a loss and the next read, and acts for other callers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lands: list[bool] = []
        self.away = 0
        self.away_with: StorageError = StorageUnavailableError("away")
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        self._come()
        return await super().get_many(keys, **options)

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        if not self.lands:
            return await super().update_many(writes)
        if self.lands.pop(0):
            await super().update_many(writes)
        await self._others()
        raise UpdateOutcomeUnknownError("lost")

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        self._come()
        if not self.lands:
            return await super().update_locked_many(keys, apply)
        if self.lands.pop(0):
            await super().update_locked_many(keys, apply)
        await self._others()
        raise UpdateOutcomeUnknownError("lost")

    def _come(self) -> None:
        if self.away:
            self.away -= 1
            raise self.away_with

    async def _others(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()

    async def count_up(self, times: int) -> None:
        """Updates of another process."""
        for _ in range(times):
            (found,) = await super().get_many([key()], touch=False)
            assert found is not None
            state = found.state.replace('"turns":[', '"turns":["other",').replace('",]', '"]')
            assert await super().update_many([Write(found.summary, state)]) != [None]


@pytest.fixture
async def storage() -> LosingStorage:
    return LosingStorage()


@pytest.fixture
async def desk(storage: LosingStorage) -> SessionManager[Chat]:
    desk = SessionManager(new_chat, storage, "chat")
    await desk.create_session("s")
    return desk


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_SECONDS", 0.1)


@pytest.mark.parametrize("lands", [[True], [False], [False, True], [False] * 7, [False] * 6 + [True]])
async def test_a_lost_update_is_applied_once(
    storage: LosingStorage, desk: SessionManager[Chat], lands: list[bool]
) -> None:
    storage.lands = lands
    before = (await desk.get_session("s")).version
    result = await desk.update_session("s", increment)
    assert (result.unwrap()["n"], result.version) == (1, (before or 0) + 1)
    found = await desk.get_session("s")
    assert (found.unwrap()["n"], found.version) == (1, result.version)


@pytest.mark.parametrize("lands", [True, False])
@pytest.mark.parametrize("others", [1, WRITES - 1])
async def test_a_lost_update_is_applied_once_although_others_wrote_since(
    storage: LosingStorage, desk: SessionManager[Chat], lands: bool, others: int
) -> None:
    storage.lands = [lands]
    storage.meanwhile = lambda: storage.count_up(others)
    assert (await desk.update_session("s", append("mine"))).success
    turns = (await desk.get_session("s")).unwrap()["turns"]
    assert (turns.count("mine"), turns.count("other")) == (1, others)


@pytest.mark.parametrize("lands", [True, False])
async def test_the_outcome_of_a_lost_update_is_unknown_after_too_many_later_writes(
    storage: LosingStorage, desk: SessionManager[Chat], lands: bool
) -> None:
    storage.lands = [lands]
    storage.meanwhile = lambda: storage.count_up(WRITES + 1)
    with pytest.raises(UpdateOutcomeUnknownError):
        await desk.update_session("s", append("mine"))
    assert (await desk.get_session("s")).unwrap()["turns"].count("mine") == lands


async def test_a_lost_batch_is_applied_once_and_each_caller_gets_its_own_version(
    storage: LosingStorage, desk: SessionManager[Chat]
) -> None:
    await desk.create_session("t")
    storage.lands = [True, False, True, False]
    results = await asyncio.gather(*(desk.update_session(name, increment) for name in "ststsst"))
    assert [result.unwrap()["n"] for result in results] == [1, 1, 2, 2, 3, 4, 3]
    first = [result.version or 0 for result in results]
    assert [first[n] - first[0] for n in (2, 4, 5)] == [1, 2, 3]


@pytest.mark.parametrize("lands", [True, False])
@pytest.mark.parametrize("again", [True, False])
async def test_the_outcome_of_a_lost_update_is_unknown_after_its_session_was_deleted(
    storage: LosingStorage, desk: SessionManager[Chat], lands: bool, again: bool
) -> None:
    async def replace() -> None:
        await desk.delete_session("s")
        if again:
            await desk.create_session("s")

    storage.lands = [lands]
    storage.meanwhile = replace
    # The update may have landed before the deletion: it is neither reported as not found nor applied again.
    with pytest.raises(UpdateOutcomeUnknownError):
        await desk.update_session("s", increment)
    if again:
        assert (await desk.get_session("s")).unwrap()["n"] == 0


async def test_an_update_that_was_in_no_lost_write_gets_not_found_after_its_session_was_deleted(
    storage: LosingStorage, desk: SessionManager[Chat]
) -> None:
    def lose(state: Chat) -> None:
        storage.lands = [True]
        storage.meanwhile = lambda: desk.delete_session("s")
        increment(state)

    def fail(_: Chat) -> None:
        raise ZeroDivisionError

    # The second and the third update are in one batch after the first.
    changes = (increment, lose, fail)
    first, second, third = await asyncio.gather(
        *(desk.update_session("s", change) for change in changes), return_exceptions=True
    )
    assert isinstance(first, SessionResult)
    assert first.success
    assert isinstance(second, UpdateOutcomeUnknownError)
    assert isinstance(third, SessionResult)
    assert isinstance(third.error, SessionNotFoundError)


async def test_a_lost_update_is_settled_when_the_storage_comes_back(
    storage: LosingStorage, desk: SessionManager[Chat]
) -> None:
    async def go() -> None:
        storage.away = 3

    storage.lands = [True]
    storage.meanwhile = go
    assert (await desk.update_session("s", increment)).unwrap()["n"] == 1
    assert (await desk.get_session("s")).unwrap()["n"] == 1


@pytest.mark.usefixtures("impatient")
async def test_the_outcome_is_unknown_if_the_storage_does_not_come_back(
    storage: LosingStorage, desk: SessionManager[Chat]
) -> None:
    async def go() -> None:
        storage.away = 1 << 30

    storage.lands = [True]
    storage.meanwhile = go
    results = await asyncio.gather(*(desk.update_session("s", increment) for _ in range(3)), return_exceptions=True)
    # Only the first update reached the storage.
    assert [type(end) for end in results] == [UpdateOutcomeUnknownError, *[StorageUnavailableError] * 2]


async def test_a_lost_update_is_not_applied_again_when_the_next_round_is_refused(
    storage: LosingStorage, desk: SessionManager[Chat]
) -> None:
    async def break_down() -> None:
        storage.away, storage.away_with = 1, StorageError("a row is broken")

    storage.lands = [True]
    storage.meanwhile = break_down
    with pytest.raises(UpdateOutcomeUnknownError):
        await desk.update_session("s", increment)
    assert (await desk.get_session("s")).unwrap()["n"] == 1


@pytest.mark.usefixtures("impatient")
async def test_each_caller_of_a_lost_batch_gets_a_copy_of_the_error(
    storage: LosingStorage, desk: SessionManager[Chat]
) -> None:
    storage.lands = [False] * 1000
    ends = await asyncio.gather(*(desk.update_session("s", increment) for _ in range(4)), return_exceptions=True)
    assert [type(end) for end in ends] == [UpdateOutcomeUnknownError] * 4
    assert len(set(map(id, ends))) == 4
    storage.lands = []
    assert (await desk.update_session("s", increment)).unwrap()["n"] == 1


async def test_the_idempotency_key_of_a_lost_update_is_remembered(
    storage: LosingStorage, desk: SessionManager[Chat]
) -> None:
    storage.lands = [True]
    first = await desk.update_session("s", increment, idempotency_key="msg")
    again = await desk.update_session("s", increment, idempotency_key="msg")
    assert (first.applied, again.applied, again.unwrap()["n"]) == (True, False, 1)


async def test_an_update_that_timed_out_before_its_write_was_not_written(desk: SessionManager[Chat]) -> None:
    class Stuck(MemoryStorageProvider):
        writing = False

        async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
            if self.writing:
                return await super().get_many(keys, **options)
            return await asyncio.Future[Sequence[Document | None]]()

        async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
            return await asyncio.Future[Sequence[Summary | None]]()

    stuck = Stuck()
    desk = SessionManager(new_chat, stuck, "chat")
    await desk.create_session("s")
    moment = timedelta(milliseconds=20)
    with pytest.raises(StorageUnavailableError, match="nothing was written"):
        await desk.update_session("s", increment, timeout=moment)
    with pytest.raises(StorageUnavailableError, match="nothing was written"):
        await desk.get_session("s", timeout=moment)
    stuck.writing = True
    with pytest.raises(UpdateOutcomeUnknownError, match="may or may not"):
        await desk.update_session("s", increment, timeout=moment)


async def test_a_timeout_error_of_the_function_reaches_the_caller_unchanged(desk: SessionManager[Chat]) -> None:
    def fail(_: Chat) -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await desk.update_session("s", fail, timeout=timedelta(seconds=30))
