"""Owners: a call that names an owner finds only the sessions of that owner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from sessionstore import (
    ConfigurationError,
    SessionManager,
    SessionNotFoundError,
    SessionOwnerError,
    SessionResult,
    StorageProvider,
)

from ...clock import ManualClock
from ...support.documents import TTL, Chat, append, draft, increment, key

Call: TypeAlias = Callable[[SessionManager[Chat], str | None], Awaitable[SessionResult[Any]]]

_CALLS: dict[str, Call] = {
    "get": lambda chats, owner: chats.get_session("s", owner_id=owner),
    "look": lambda chats, owner: chats.get_session("s", touch=False, owner_id=owner),
    "update": lambda chats, owner: chats.update_session("s", increment, owner_id=owner),
    "keyed": lambda chats, owner: chats.update_session("s", increment, idempotency_key="k", owner_id=owner),
    "delete": lambda chats, owner: chats.delete_session("s", owner_id=owner),
}


async def _stored(storage: StorageProvider) -> Any:
    return await storage.get(key(), touch=False)


@pytest.mark.parametrize("owner_id", ["alice", None], ids=["of-another", "of-nobody"])
@pytest.mark.parametrize("call", _CALLS.values(), ids=_CALLS)
async def test_the_session_of_another_owner_is_not_found_and_stays_as_it_is(
    chats: SessionManager[Chat], storage: StorageProvider, clock: ManualClock, call: Call, owner_id: str | None
) -> None:
    await chats.create_session("s", owner_id=owner_id)
    clock.advance(TTL / 2)
    before = await _stored(storage)
    result = await call(chats, "mallory")
    if result.success:  # the call was a deletion
        assert result.data is False
    else:
        assert isinstance(result.error, SessionNotFoundError)
        assert (result.data, result.version, result.metadata) == (None, None, None)
    assert await _stored(storage) == before


@pytest.mark.parametrize("owner_id", ["alice", None], ids=["named", "not-named"])
@pytest.mark.parametrize("call", _CALLS.values(), ids=_CALLS)
async def test_a_session_is_found_by_its_owner_and_by_callers_without_an_owner(
    chats: SessionManager[Chat], call: Call, owner_id: str | None
) -> None:
    await chats.create_session("s", owner_id="alice")
    result = await call(chats, owner_id)
    assert result.success
    assert result.data is not False


@pytest.mark.parametrize("owner_id", ["alice", None], ids=["of-another", "of-nobody"])
async def test_a_creation_over_the_live_session_of_another_owner_shows_nothing_of_it(
    chats: SessionManager[Chat], storage: StorageProvider, clock: ManualClock, owner_id: str | None
) -> None:
    await chats.create_session("s", owner_id=owner_id)
    await chats.update_session("s", append("secret"))
    clock.advance(TTL / 2)
    before = await _stored(storage)
    refused = await chats.create_session("s", owner_id="mallory")
    assert isinstance(refused.error, SessionOwnerError)
    assert (refused.data, refused.version, refused.metadata, refused.created) == (None, None, None, False)
    assert await _stored(storage) == before
    clock.advance(TTL)
    assert (await chats.create_session("s", owner_id="mallory")).created


async def test_creating_again_finds_ones_own_session(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s", owner_id="alice")
    for owner_id in ("alice", None):
        found = await chats.create_session("s", owner_id=owner_id)
        assert (found.success, found.created) == (True, False)


async def test_concurrent_callers_each_see_only_their_owners_sessions(
    chats: SessionManager[Chat], clock: ManualClock
) -> None:
    await chats.create_session("s", owner_id="alice")
    clock.advance(TTL / 2)
    owners = ["mallory", "alice", None, "bob", "alice", "mallory"] * 4
    reads = await asyncio.gather(*(chats.get_session("s", owner_id=owner_id) for owner_id in owners))
    assert [read.success for read in reads] == [owner_id in ("alice", None) for owner_id in owners]
    updates = await asyncio.gather(*(chats.update_session("s", increment, owner_id=owner_id) for owner_id in owners))
    assert [update.success for update in updates] == [owner_id in ("alice", None) for owner_id in owners]
    assert (await chats.get_session("s")).unwrap()["n"] == 12


async def test_a_read_by_another_owner_is_no_access(storage: StorageProvider, clock: ManualClock) -> None:
    await storage.create_many([draft("a", owner_id="alice"), draft("b", owner_id="bob")])
    clock.advance(TTL / 2)
    keys = [key("a"), key("b"), key("a")]
    found = await storage.get_many(keys, owners=["alice", "alice", "bob"])
    assert [document is not None for document in found] == [True, False, False]
    seen = await storage.get_many([key("a"), key("b")], touch=False)
    assert [document and document.summary.last_accessed_at == clock() for document in seen] == [True, False]


async def test_only_the_deletion_for_the_right_owner_deletes(storage: StorageProvider) -> None:
    await storage.create(draft("a", owner_id="alice"))
    keys = [key("a")] * 4
    assert await storage.delete_many(keys, owners=["bob", "alice", None, "alice"]) == [False, True, False, False]


@pytest.mark.parametrize("owner_id", ["", "a\0b", "x" * 256, 7])
async def test_an_invalid_owner_is_refused(chats: SessionManager[Chat], owner_id: Any) -> None:
    await chats.create_session("s", owner_id="alice")
    for call in _CALLS.values():
        with pytest.raises(ConfigurationError, match="owner_id"):
            await call(chats, owner_id)


class _CaseInsensitive(str):
    """An id of a service's own class, which ignores case in comparisons."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


async def test_an_id_is_its_characters_whatever_its_class_makes_of_them(chats: SessionManager[Chat]) -> None:
    name, owner_id = _CaseInsensitive("Some-Chat"), _CaseInsensitive("Alice")
    async with asyncio.timeout(20):
        created = await chats.create_session(name, owner_id=owner_id)
        assert (created.created, created.session_id, type(created.session_id)) == (True, "Some-Chat", str)
        assert (await chats.update_session(name, increment, owner_id=owner_id, idempotency_key=name)).applied
        assert not (await chats.update_session(name, increment, owner_id="Alice", idempotency_key="Some-Chat")).applied
        assert (await chats.get_session("Some-Chat", owner_id="Alice")).unwrap()["n"] == 1
        assert not (await chats.get_session("some-chat")).success
        assert (await chats.delete_session(name, owner_id=owner_id)).data is True
