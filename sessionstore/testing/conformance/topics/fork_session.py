"""Forks: the copy of a session with its items."""

from __future__ import annotations

from datetime import timedelta

import pytest_asyncio

from sessionstore import (
    InvalidSessionIdError,
    SessionConflictError,
    SessionManager,
    SessionNotFoundError,
    SessionOwnerError,
)

from ...clock import ManualClock
from ...support.documents import TTL, Chat, increment, new_chat
from ...support.results import data
from ..given import Managed


@pytest_asyncio.fixture(loop_scope="function")
async def desk(managed: Managed) -> SessionManager[Chat]:
    desk = managed()
    await desk.create_session("s", owner_id="u1", origin={"from": "web"}, ttl=TTL / 2)
    await desk.update_session("s", increment, append=["a", "b"], ids=["m1", None])
    await desk.append_items("s", ["x"], log="other")
    await desk.append_items("s", ["c"])
    return desk


async def test_a_fork_has_the_state_and_the_items(desk: SessionManager[Chat]) -> None:
    source = await desk.get_session("s", last_items=9)
    fork = await desk.fork_session("s", "t")
    assert (fork.session_id, fork.created, fork.items, fork.last_position) == ("t", True, (), 4)
    assert fork.unwrap() == source.unwrap()
    assert fork.version != source.version
    assert fork.metadata is not None
    assert (fork.metadata.owner_id, fork.metadata.origin, fork.metadata.ttl) == ("u1", {"from": "web"}, TTL / 2)
    read = await desk.get_session("t", last_items=9)
    assert read.items == source.items
    assert data(await desk.get_items("t", log="other")) == ["x"]


async def test_the_fork_and_its_source_change_independently(desk: SessionManager[Chat], clock: ManualClock) -> None:
    fork = (await desk.fork_session("s")).session_id
    assert fork != "s"
    await desk.update_session(fork, increment, append=["fork"])
    await desk.update_session("s", increment, append=["source"])
    await desk.pop_items(fork, 2)
    assert data(await desk.get_items("s")) == ["a", "b", "c", "source"]
    assert data(await desk.get_items(fork)) == ["a", "b"]
    assert (await desk.append_items(fork, ["a"], ids=["m1"])).items == ()
    await desk.delete_session("s")
    assert data(await desk.get_items(fork)) == ["a", "b"]
    assert (await desk.find_item("m1")).session_id == fork
    clock.advance(TTL)
    assert isinstance((await desk.get_items(fork)).error, SessionNotFoundError)


async def test_a_fork_ends_at_a_position(desk: SessionManager[Chat]) -> None:
    fork = await desk.fork_session("s", "t", until=2)
    assert fork.last_position == 2
    assert data(await desk.get_items("t")) == ["a", "b"]
    assert data(await desk.get_items("t", log="other")) == []
    assert [item.position for item in (await desk.append_items("t", ["new"])).items] == [3]
    assert data(await desk.get_items((await desk.fork_session("s", until=0)).session_id)) == []
    assert (await desk.fork_session("s", until=2**62)).last_position == 4


async def test_a_fork_of_an_absent_session_or_to_a_used_id_is_refused(
    desk: SessionManager[Chat], clock: ManualClock
) -> None:
    await desk.create_session("t")
    for missing in (await desk.fork_session("none", "u"), await desk.fork_session("s", "u", owner_id="u2")):
        assert isinstance(missing.error, SessionNotFoundError)
    taken = await desk.fork_session("s", "t")
    assert isinstance(taken.error, SessionConflictError)
    assert (taken.session_id, taken.error.of, taken.data, taken.metadata) == ("t", "absence", None, None)
    assert isinstance((await desk.fork_session("s", "s")).error, SessionConflictError)
    of_another = await desk.fork_session("s", "t", owner_id="u1")
    assert isinstance(of_another.error, SessionOwnerError)
    assert isinstance((await desk.fork_session("", "t")).error, InvalidSessionIdError)
    assert isinstance((await desk.fork_session("s", "")).error, InvalidSessionIdError)
    assert (await desk.get_session("t")).unwrap() == new_chat("t")
    clock.advance(TTL + timedelta(minutes=10))
    assert isinstance((await desk.fork_session("s", "u")).error, SessionNotFoundError)


async def test_a_fork_takes_the_place_of_an_expired_session(desk: SessionManager[Chat], clock: ManualClock) -> None:
    await desk.create_session("t", items=["old"], ttl=timedelta(minutes=1))
    clock.advance(timedelta(minutes=2))
    assert (await desk.fork_session("s", "t")).created
    assert data(await desk.get_items("t")) == ["a", "b", "c"]
