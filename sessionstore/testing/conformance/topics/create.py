"""Creations: exactly one of several callers creates the session."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from sessionstore import ConfigurationError, InvalidStateError, SessionManager, StorageProvider

from ...clock import ManualClock
from ...support.documents import TTL, Chat, draft, increment, key, new_chat, set_to
from ..given import Managed, OpenAnother


async def test_a_new_session_has_the_default_state(chats: SessionManager[Chat]) -> None:
    created = await chats.create_session("s")
    assert (created.success, created.created, created.session_id) == (True, True, "s")
    assert created.unwrap() == new_chat("s")
    assert (await chats.get_session("s")).unwrap() == new_chat("s")


async def test_a_live_session_is_found_and_not_created_again(chats: SessionManager[Chat]) -> None:
    first = await chats.create_session("s", owner_id="u1", origin={"user": "u1"})
    updated = await chats.update_session("s", set_to(7))
    found = await chats.create_session("s", owner_id="u1", origin={"user": "u2"}, ttl=None)
    assert (found.success, found.created, found.version) == (True, False, updated.version)
    assert found.unwrap()["n"] == 7
    assert found.metadata is not None
    assert first.metadata is not None
    assert (found.metadata.owner_id, found.metadata.origin, found.metadata.ttl) == ("u1", {"user": "u1"}, TTL)
    assert found.metadata.created_at == first.metadata.created_at


async def test_finding_a_session_is_an_access(chats: SessionManager[Chat], clock: ManualClock) -> None:
    await chats.create_session("s")
    clock.advance(TTL)
    found = await chats.create_session("s")
    assert found.metadata is not None
    assert found.metadata.expires_at is not None
    assert found.metadata.expires_at >= clock() + TTL


async def test_an_expired_session_is_replaced_by_a_wholly_new_one(
    chats: SessionManager[Chat], clock: ManualClock
) -> None:
    await chats.create_session("s", owner_id="u1", origin={"a": 1}, ttl=timedelta(minutes=1))
    await chats.update_session("s", set_to(7))
    clock.advance(timedelta(minutes=2))
    replaced = await chats.create_session("s")
    assert replaced.created
    assert replaced.unwrap() == new_chat("s")
    assert replaced.metadata is not None
    assert (replaced.metadata.owner_id, replaced.metadata.origin, replaced.metadata.ttl) == (None, None, TTL)
    assert replaced.metadata.created_at == replaced.metadata.updated_at == clock()


async def test_origin_owner_and_ttl_are_kept(chats: SessionManager[Chat]) -> None:
    origin: dict[str, Any] = {"channel": "web", "tags": ["a", 1, 1.0, None, True], "näme": {"x": "ü"}}
    await chats.create_session("s", origin=origin, owner_id="übér owner", ttl=timedelta(days=120, microseconds=7))
    read = (await chats.get_session("s")).metadata
    assert read is not None
    assert (read.origin, read.owner_id, read.ttl) == (origin, "übér owner", timedelta(days=120, microseconds=7))


async def test_an_empty_origin_stays_empty(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s", origin={})
    read = (await chats.get_session("s")).metadata
    assert read is not None
    assert read.origin == {}


@pytest.mark.parametrize("origin", [{"a": float("nan")}, {"a": "\0"}, {"a": b"x"}, {"\ud800": 1}])
async def test_an_origin_that_json_cannot_hold_is_refused(
    chats: SessionManager[Chat], origin: dict[str, object]
) -> None:
    refused = await chats.create_session("s", origin=origin)  # type: ignore[arg-type]
    assert isinstance(refused.error, InvalidStateError)
    assert not (await chats.get_session("s")).success


@pytest.mark.parametrize("owner_id", ["a\0b", "\ud800", ""])
async def test_an_owner_that_no_storage_can_keep_is_refused(chats: SessionManager[Chat], owner_id: str) -> None:
    refused = await chats.create_session("s", owner_id=owner_id)
    assert isinstance(refused.error, ValueError)
    assert not (await chats.get_session("s")).success


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(seconds=-1)])
async def test_a_ttl_must_be_positive(managed: Managed, duration: timedelta) -> None:
    with pytest.raises(ConfigurationError):
        managed(ttl=duration)
    with pytest.raises(ConfigurationError):
        managed(max_lifetime=duration)
    with pytest.raises(ConfigurationError):
        await managed().create_session("s", ttl=duration)


async def test_generated_ids_are_long_and_never_repeat(chats: SessionManager[Chat]) -> None:
    made = {(await chats.create_session()).session_id for _ in range(50)}
    assert len(made) == 50
    # 22 characters out of 64 hold 132 random bits.
    assert all(len(session_id) >= 22 for session_id in made)
    for session_id in made:
        assert (await chats.get_session(session_id)).success


@pytest_asyncio.fixture(loop_scope="function")
async def racers(managed: Managed, open_another: OpenAnother) -> list[SessionManager[Chat]]:
    """Twelve managers, each with its own state, on three storages whose connections are open."""
    storages = [await open_another() for _ in range(3)]
    racers = [managed(storages[n % 3], default_state=lambda _, n=n: {"by": n}) for n in range(12)]
    await asyncio.gather(*(racer.get_session("nobody") for racer in racers))
    return racers


async def test_exactly_one_of_racing_creators_creates(racers: list[SessionManager[Chat]]) -> None:
    for race in range(10):
        results = await asyncio.gather(*(racer.create_session(f"s{race}") for racer in racers))
        assert sum(result.created for result in results) == 1
        assert len({result.version for result in results}) == 1
        (winner,) = (result.unwrap() for result in results if result.created)
        assert all(result.unwrap() == winner for result in results)


async def test_exactly_one_of_racing_creators_replaces_an_expired_session(
    racers: list[SessionManager[Chat]], clock: ManualClock
) -> None:
    for race in range(5):
        old = await racers[0].create_session(f"s{race}", ttl=timedelta(seconds=1))
        clock.advance(timedelta(seconds=2))
        results = await asyncio.gather(*(racer.create_session(f"s{race}") for racer in racers))
        assert sum(result.created for result in results) == 1
        assert len({result.version for result in results} - {old.version}) == 1


async def test_sessions_do_not_share_a_default_state(managed: Managed) -> None:
    shared: Chat = {"n": 0}
    chats = managed(default_state=lambda _: shared)
    created = await chats.create_session("a")
    created.unwrap()["n"] = 99
    await chats.update_session("a", increment)
    assert (await chats.create_session("b")).unwrap() == {"n": 0}
    assert shared == {"n": 0}


async def test_an_error_of_the_default_state_reaches_the_caller(managed: Managed) -> None:
    chats = managed(default_state=lambda session_id: {}[session_id])
    with pytest.raises(KeyError, match="s"):
        await chats.create_session("s")


async def test_a_batch_creates_in_order_and_finds_what_it_created(storage: StorageProvider) -> None:
    await storage.create(draft("b", '{"n": 0}'))
    creations = await storage.create_many([draft("c"), draft("b"), draft("a"), draft("c", '{"n": 9}')])
    assert [creation.created for creation in creations] == [True, False, True, False]
    assert [creation.document.summary.key for creation in creations] == [key("c"), key("b"), key("a"), key("c")]
    assert [creation.document.state.replace(" ", "") for creation in creations] == ["{}", '{"n":0}', "{}", "{}"]


async def test_a_draft_starts_at_its_version(storage: StorageProvider) -> None:
    creation = await storage.create(draft(version=4_503_599_627_370_496))
    assert creation.document.summary.version == 4_503_599_627_370_496
