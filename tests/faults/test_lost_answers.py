"""Creations and deletions whose answer is lost: after they were committed, or before they were there at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import NamedTuple, TypeVar

import pytest

from sessionstore import SessionConflictError, SessionManager, StorageProvider, open_storage
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import PostgresServer
from sessionstore.testing.support.documents import TTL, Chat, draft, increment, key, new_chat

from .proxy import Fault, Proxy
from .ways import WAYS, migrated, through

R = TypeVar("R")


class Service(NamedTuple):
    """A service behind a wire that breaks, and another one beside it."""

    proxy: Proxy
    storage: StorageProvider
    chats: SessionManager[Chat]
    others: SessionManager[Chat]
    clock: ManualClock

    async def broken(self, fault: Fault, call: Awaitable[R]) -> R:
        """Makes a call to whose first write this happens, and sees that it did."""
        struck = self.proxy.arm(fault)
        try:
            return await call
        finally:
            assert struck.is_set()


@pytest.fixture(params=WAYS)
async def service(request: pytest.FixtureRequest, server: PostgresServer) -> AsyncIterator[Service]:
    clock = ManualClock()
    async with (
        migrated(server) as database,
        Proxy(database.url) as proxy,
        through(proxy.url, str(request.param), clock=clock) as storage,
        open_storage(database.url, clock=clock) as other,
    ):
        await storage.exists(key())
        yield Service(proxy, storage, _chats(storage), _chats(other), clock)


def _chats(storage: StorageProvider) -> SessionManager[Chat]:
    return SessionManager(new_chat, storage, "chat", ttl=TTL)


_LOST = pytest.mark.parametrize("fault", [Fault.CUT, Fault.DROP])


@_LOST
async def test_a_creation_finds_its_own_session(service: Service, fault: Fault) -> None:
    created = await service.broken(fault, service.chats.create_session("s"))
    assert (created.created, created.unwrap()) == (True, new_chat("s"))
    found = await service.others.create_session("s")
    assert (found.created, found.version) == (False, created.version)


@_LOST
async def test_a_creation_that_replaces_an_expired_session_finds_its_own(service: Service, fault: Fault) -> None:
    await service.others.create_session("s")
    await service.others.update_session("s", increment)
    service.clock.advance(2 * TTL)
    created = await service.broken(fault, service.chats.create_session("s"))
    assert (created.created, created.unwrap()["n"]) == (True, 0)
    assert (await service.others.create_session("s")).version == created.version


@_LOST
async def test_a_creation_finds_the_session_of_another_creation(service: Service, fault: Fault) -> None:
    first = await service.others.create_session("s")
    found = await service.broken(fault, service.chats.create_session("s"))
    assert (found.created, found.version) == (False, first.version)


@_LOST
async def test_each_of_several_creations_gets_its_own_session(service: Service, fault: Fault) -> None:
    await service.others.create_session("old")
    drafts = [draft(name) for name in ("a", "old", "b", "a")]
    made = await service.broken(fault, service.storage.create_many(drafts))
    assert [creation.created for creation in made] == [True, False, True, False]
    assert made[0].document == made[3].document
    assert await service.storage.exists_many([key("a"), key("b")]) == [True, True]


@_LOST
async def test_an_append_creates_its_session_once(service: Service, fault: Fault) -> None:
    for created, positions in ((True, [1]), (False, [2])):
        appended = await service.broken(fault, service.chats.append_items("s", ["a"], create=True))
        assert (appended.created, [item.position for item in appended.items]) == (created, positions)
    assert [item.data for item in (await service.others.get_items("s")).items] == ["a", "a"]


@_LOST
@pytest.mark.parametrize("expired", [False, True])
async def test_a_fork_finds_its_own_copy(service: Service, fault: Fault, expired: bool) -> None:
    if expired:
        await service.others.create_session("copy", items=["old"])
        service.clock.advance(2 * TTL)
    await service.others.create_session("s", items=["a", "b", "c"], owner_id="u1")
    forked = await service.broken(fault, service.chats.fork_session("s", "copy", until=2))
    assert (forked.created, forked.unwrap(), forked.last_position) == (True, new_chat("s"), 2)
    found = await service.others.get_session("copy", last_items=9)
    assert found.version == forked.version
    assert [(item.position, item.data) for item in found.items] == [(1, "a"), (2, "b")]
    again = await service.chats.fork_session("s", "copy")
    assert isinstance(again.error, SessionConflictError)


@_LOST
async def test_a_fork_finds_the_session_of_another_call(service: Service, fault: Fault) -> None:
    await service.others.create_session("s", items=["a"])
    other = await service.others.create_session("copy", items=["b"])
    forked = await service.broken(fault, service.chats.fork_session("s", "copy"))
    assert isinstance(forked.error, SessionConflictError)
    assert forked.error.actual == other.version
    assert [item.data for item in (await service.others.get_items("copy")).items] == ["b"]


@_LOST
async def test_a_deletion_says_that_it_deleted(service: Service, fault: Fault) -> None:
    await service.others.create_session("s")
    assert (await service.broken(fault, service.chats.delete_session("s"))).unwrap() is True
    assert (await service.others.get_session("s")).success is False
    assert (await service.chats.delete_session("s")).unwrap() is False


@_LOST
async def test_a_deletion_of_an_absent_or_expired_session_says_so(service: Service, fault: Fault) -> None:
    assert (await service.broken(fault, service.chats.delete_session("s"))).unwrap() is False
    await service.others.create_session("s")
    service.clock.advance(2 * TTL)
    assert (await service.broken(fault, service.chats.delete_session("s"))).unwrap() is False


@_LOST
async def test_each_of_several_deletions_gets_its_own_result(service: Service, fault: Fault) -> None:
    for name in ("a", "b", "other"):
        await service.others.create_session(name)
    keys = [key(name) for name in ("a", "absent", "b", "a")]
    assert await service.broken(fault, service.storage.delete_many(keys)) == [True, False, True, False]
    assert await service.storage.exists_many([key(name) for name in ("a", "b", "other")]) == [False, False, True]


@_LOST
@pytest.mark.parametrize("renew", [False, True])
async def test_a_lost_set_lands_once(service: Service, fault: Fault, renew: bool) -> None:
    created = await service.broken(fault, service.storage.set(draft("s", '{"n": 1}'), renew=renew))
    overwritten = await service.broken(fault, service.storage.set(draft("s", '{"n": 2}'), renew=renew))
    assert (overwritten.created_at, overwritten.version) == (created.created_at, created.version + 1)
    read = await service.storage.get(key("s"), touch=False)
    assert read is not None
    assert (read.state, read.summary) == ('{"n": 2}', overwritten)


@_LOST
async def test_lost_sets_of_one_session_land_once_together_and_each_gets_its_version(
    service: Service, fault: Fault
) -> None:
    calls = [asyncio.ensure_future(service.storage.set(draft("s", f'{{"n": {n}}}'))) for n in range(9)]
    first = (await calls[0]).version
    # The others are sent in the turns of the event loop that follow.
    summaries = await service.broken(fault, asyncio.gather(*calls[1:]))
    assert [it.version for it in summaries] == [*range(first + 1, first + 9)]
    read = await service.storage.get(key("s"), touch=False)
    assert read is not None
    assert (read.state, read.summary.version) == ('{"n": 8}', first + 8)


@_LOST
async def test_each_of_several_sets_lands_once(service: Service, fault: Fault) -> None:
    before = await service.storage.set_many([draft("a"), draft("b")])
    drafts = [draft(name, '{"n": 1}') for name in ("a", "new", "b")]
    summaries = await service.broken(fault, service.storage.set_many(drafts))
    assert [summaries[0].version, summaries[2].version] == [summary.version + 1 for summary in before]
    read = await service.storage.get_many([it.key for it in drafts], touch=False)
    assert [it and (it.state, it.summary) for it in read] == [('{"n": 1}', summary) for summary in summaries]
