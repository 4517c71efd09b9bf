from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

import pytest

from sessionstore import SessionManager, SessionResult, SqlStorageProvider
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import TTL, Chat, increment, new_chat
from tests.support.bystander import ask, until_alone
from tests.support.opening import WAYS, disconnect, opened
from tests.support.wire import WireCounter

Call: TypeAlias = Callable[[SessionManager[Chat], str], Awaitable[SessionResult[Any]]]

# psycopg prepares a statement when it runs for the sixth time, asyncpg at once.
_WARM_UP = 8

_PROMISED: dict[str, tuple[Call, int]] = {
    "get": (lambda chats, name: chats.get_session(name), 1),
    "create": (lambda chats, name: chats.create_session(f"new-{name}"), 1),
    "create-existing": (lambda chats, name: chats.create_session(name), 1),
    "update": (lambda chats, name: chats.update_session(name, increment), 2),
    "delete": (lambda chats, name: chats.delete_session(name), 1),
}


class Wired(NamedTuple):
    """A manager whose storage is reached through the counter."""

    wire: WireCounter
    storage: SqlStorageProvider
    chats: SessionManager[Chat]


@pytest.fixture(params=WAYS)
async def wired(request: pytest.FixtureRequest, url: str, clock: ManualClock) -> AsyncIterator[Wired]:
    async with WireCounter(url) as wire, opened(request.param, wire.url, clock=clock, pool_size=20) as storage:
        yield Wired(wire, storage, SessionManager(new_chat, storage, namespace="chat", ttl=TTL))


@pytest.mark.parametrize(("call", "promised"), _PROMISED.values(), ids=_PROMISED)
async def test_a_call_takes_as_many_round_trips_as_promised(wired: Wired, call: Call, promised: int) -> None:
    wire, _, chats = wired
    names = [f"s{n}" for n in range(_WARM_UP + 3)]
    for name in names:
        await chats.create_session(name)
    for name in names[3:]:
        await call(chats, name)
    with wire.counting() as seen:
        for name in names[:3]:
            assert (await call(chats, name)).success
    assert (seen.round_trips, seen.connections) == (3 * promised, 0), seen.statements


async def test_an_update_of_a_session_that_was_just_written_takes_one_round_trip(wired: Wired) -> None:
    wire, _, chats = wired
    await chats.create_session("s")
    for _ in range(_WARM_UP):
        await chats.update_session("s", increment)
    with wire.counting() as seen:
        for n in range(3):
            assert (await chats.update_session("s", increment)).unwrap()["n"] == _WARM_UP + n + 1
    assert (seen.round_trips, seen.connections) == (3, 0), seen.statements


async def test_items_are_read_without_the_state(wired: Wired, postgres: Database) -> None:
    wire, _, chats = wired
    await chats.create_session("s", items=["a", "b"])
    with wire.counting() as seen:
        for options in ({}, {"last": 1}, {"last": 0}, {"after": 1}, {"before": 2}, {"ids": ["x"]}):
            assert (await chats.get_items("s", **options)).success
    assert len(seen.statements) == 6
    assert not any("sessions.state AS" in statement for statement in seen.statements), seen.statements
    with wire.counting() as seen:
        assert (await chats.get_session("s", last_items=1)).unwrap() == new_chat("s")
    assert "sessions.state AS" in seen.statements[0]


async def test_a_read_moves_the_expiry_at_most_once_per_tenth_of_a_ttl(wired: Wired, clock: ManualClock) -> None:
    wire, _, chats = wired
    await _warmed_up_touches(chats, clock)
    await chats.create_session("s")
    with wire.counting() as seen:
        for _ in range(20):
            clock.advance(TTL / 20)
            before = seen.round_trips
            read = await chats.get_session("s")
            assert seen.round_trips - before in (1, 2)
            assert read.metadata is not None
            assert read.metadata.expires_at is not None
            assert TTL <= read.metadata.expires_at - clock.now <= 1.1 * TTL
    touches = [statement for statement in seen.statements if statement.startswith("UPDATE")]
    assert 1 <= len(touches) <= 10
    assert seen.round_trips == 20 + len(touches)


async def test_an_update_moves_the_expiry_for_nothing(wired: Wired, clock: ManualClock) -> None:
    wire, _, chats = wired
    await chats.create_session("s")
    for _ in range(_WARM_UP):
        await chats.update_session("s", increment)
    clock.advance(TTL / 2)
    with wire.counting() as seen:
        result = await chats.update_session("s", increment)
    # What was written a moment ago need not be read.
    assert seen.round_trips == 1
    assert result.metadata is not None
    assert result.metadata.expires_at == clock.now + 1.1 * TTL


async def test_readers_at_once_move_the_expiry_once(wired: Wired, postgres: Database, clock: ManualClock) -> None:
    _, storage, chats = wired
    await chats.create_session("s")
    clock.advance(TTL / 2)
    results = await asyncio.gather(*(chats.get_session("s") for _ in range(20)))
    expiries = {result.metadata.expires_at for result in results if result.metadata}
    assert expiries == {clock.now + 1.1 * TTL}
    await disconnect(storage)
    await until_alone(postgres)
    assert ask(postgres, "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'sessions'") == [(1,)]


async def _warmed_up_touches(chats: SessionManager[Chat], clock: ManualClock) -> None:
    await chats.create_session("warm")
    for _ in range(_WARM_UP):
        clock.advance(TTL / 2)
        await chats.get_session("warm")
