from __future__ import annotations

import pytest

from sessionstore import InvalidStateError, SessionConflictError, SessionManager, SessionNotFoundError
from sessionstore.storage import Key
from sessionstore.testing.support.documents import Chat, increment, new_chat
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS

from ..support.contended import ContendedStorage


class DeletedBeforeTheLock(ContendedStorage):
    async def before_lock(self, key: Key) -> None:
        assert await self.delete(key)


class ChangedBeforeTheLock(ContendedStorage):
    async def before_lock(self, key: Key) -> None:
        await self.count_up(key)


async def manager_on(storage: ContendedStorage) -> SessionManager[Chat]:
    """A manager that has created the session "s"."""
    chats = SessionManager(new_chat, storage, "chat")
    assert (await chats.create_session("s")).created
    return chats


@pytest.mark.parametrize("held", [False, True], ids=["others write", "others hold the row"])
@pytest.mark.parametrize("losses", range(OPTIMISTIC_ROUNDS + 1))
async def test_an_update_in_conflict_is_applied_again_to_the_new_state_and_finally_takes_the_row_lock(
    losses: int, held: bool
) -> None:
    storage = ContendedStorage(losses, held=held)
    chats = await manager_on(storage)
    seen: list[int] = []

    def count(state: Chat) -> None:
        seen.append(state["n"])
        increment(state)

    updated = await chats.update_session("s", count)
    others = 0 if held else losses
    assert updated.unwrap()["n"] == others + 1
    # While the row is held, the function is not applied again, except under the row lock.
    locked = losses == OPTIMISTIC_ROUNDS
    assert seen == ([0] * (1 + locked) if held else [*range(losses + 1)])
    assert storage.rounds == min(losses + 1, OPTIMISTIC_ROUNDS)
    assert storage.locks == (losses == OPTIMISTIC_ROUNDS)
    read = await chats.get_session("s", touch=False)
    assert (read.data, read.version) == (updated.data, updated.version)


async def test_a_session_deleted_while_its_update_waits_for_the_lock_is_not_found() -> None:
    chats = await manager_on(DeletedBeforeTheLock(OPTIMISTIC_ROUNDS))
    missing = await chats.update_session("s", increment)
    assert isinstance(missing.error, SessionNotFoundError)
    assert (missing.success, missing.data, missing.error.session_id) == (False, None, "s")
    assert not (await chats.get_session("s")).success


async def test_an_unexpected_version_under_the_row_lock_is_a_conflict() -> None:
    storage = ChangedBeforeTheLock(OPTIMISTIC_ROUNDS, held=True)
    chats = await manager_on(storage)
    version = (await chats.get_session("s")).version
    assert version is not None
    refused = await chats.update_session("s", increment, expected_version=version)
    assert isinstance(refused.error, SessionConflictError)
    assert (refused.error.expected, refused.error.actual) == (version, version + 1)
    assert storage.locks == 1
    assert (await chats.get_session("s")).unwrap()["n"] == 1


async def test_the_expected_version_under_the_lock_lands() -> None:
    chats = await manager_on(ContendedStorage(OPTIMISTIC_ROUNDS, held=True))
    version = (await chats.get_session("s")).version
    assert (await chats.update_session("s", increment, expected_version=version)).unwrap()["n"] == 1


async def test_a_lost_race_is_a_conflict_if_a_version_was_expected() -> None:
    storage = ContendedStorage(losses=1)
    chats = await manager_on(storage)
    version = (await chats.get_session("s")).version
    calls: list[Chat] = []
    refused = await chats.update_session("s", calls.append, expected_version=version)
    assert isinstance(refused.error, SessionConflictError)
    assert (len(calls), storage.rounds, storage.locks) == (1, 1, 0)


async def test_a_bad_state_under_the_lock_is_refused_and_nothing_is_written() -> None:
    storage = ContendedStorage(OPTIMISTIC_ROUNDS, held=True)
    chats = await manager_on(storage)
    spoiled = iter([0, float("nan")])
    refused = await chats.update_session("s", lambda state: {**state, "n": next(spoiled)})
    assert isinstance(refused.error, InvalidStateError)
    assert refused.error.path == "$.n"
    assert storage.locks == 1
    assert (await chats.get_session("s")).unwrap() == new_chat("s")
