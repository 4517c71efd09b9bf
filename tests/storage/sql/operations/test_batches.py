"""Calls that go together, counted in PostgreSQL's own terms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import pytest

from sessionstore import SessionManager, SqlStorageProvider, open_storage
from sessionstore.batching import Batching
from sessionstore.storage import Document
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import TTL, Chat, append, increment, key, new_chat
from tests.support.bystander import ask, locked, until_alone, until_blocked
from tests.support.processes import pythons
from tests.support.wire import WireCounter

NAMES = [f"s{n:02}" for n in range(60)]


class Wired(NamedTuple):
    """A manager whose storage is reached through the counter, and has the sessions of NAMES."""

    wire: WireCounter
    storage: SqlStorageProvider
    chats: SessionManager[Chat]


@pytest.fixture
async def wired(url: str, clock: ManualClock, patient: None) -> AsyncIterator[Wired]:
    async with WireCounter(url) as wire, open_storage(wire.url, clock=clock, pool_size=10) as storage:
        assert isinstance(storage, SqlStorageProvider)
        chats = SessionManager(new_chat, storage, "chat", ttl=TTL)
        for name in NAMES:
            assert (await chats.create_session(name)).created
        yield Wired(wire, storage, chats)


async def test_updates_of_many_sessions_at_once_take_few_statements(wired: Wired) -> None:
    wire, _, chats = wired
    with wire.counting() as seen:
        results = await asyncio.gather(*(chats.update_session(name, append(name)) for name in NAMES))
    assert [result.unwrap()["turns"] for result in results] == [[name] for name in NAMES]
    # Two go alone, and while they are under way the others wait for each other.
    assert len(seen.statements) <= 8
    assert [(await chats.get_session(name)).unwrap()["turns"] for name in NAMES] == [[name] for name in NAMES]


async def test_updates_of_one_session_at_once_are_written_twice(wired: Wired) -> None:
    wire, _, chats = wired
    first = (await chats.get_session("s00")).version
    assert first is not None
    with wire.counting() as seen:
        results = await asyncio.gather(*(chats.update_session("s00", append(n)) for n in range(60)))
    assert [result.unwrap()["turns"] for result in results] == [[*range(n + 1)] for n in range(60)]
    assert [result.version for result in results] == [first + 1 + n for n in range(60)]
    # The first goes alone, and all others together, beginning with what the first wrote.
    assert [statement.split()[0] for statement in seen.statements] == ["SELECT", "UPDATE", "UPDATE"]
    read = await chats.get_session("s00")
    assert (read.unwrap()["turns"], read.version) == ([*range(60)], first + 60)


async def test_without_batching_each_update_reads_and_writes_for_itself(url: str, postgres: Database) -> None:
    async with WireCounter(url) as wire, open_storage(wire.url, batching=None) as storage:
        chats = SessionManager(new_chat, storage, "chat")
        for name in NAMES[:10]:
            await chats.create_session(name)
        with wire.counting() as seen:
            await asyncio.gather(*(chats.update_session(name, increment) for name in NAMES[:10]))
    assert len(seen.statements) == 20


async def test_a_lone_call_takes_one_statement_and_an_update_two(wired: Wired) -> None:
    wire, storage, chats = wired
    with wire.counting() as seen:
        await chats.get_session("s00")
        await storage.touch(key("s00"))
        await chats.update_session("s00", increment)
    # A touch that has nothing to move looks whether the session is there.
    assert len(seen.statements) == 1 + 2 + 2


@pytest.mark.parametrize("touch", [False, True])
async def test_reads_at_once_take_few_statements_and_each_gets_its_own(wired: Wired, *, touch: bool) -> None:
    wire, _, chats = wired
    with wire.counting() as seen:
        results = await asyncio.gather(*(chats.get_session(name, touch=touch) for name in [*NAMES, "never", *NAMES]))
    assert len(seen.statements) <= 4
    assert [result.success for result in results] == [*[True] * 60, False, *[True] * 60]
    states = [result.unwrap() for result in results if result.success]
    assert [state["id"] for state in states] == NAMES * 2
    states[0]["turns"].append("only mine")
    assert states[60]["turns"] == []


async def test_reads_at_once_move_each_expiry_once(wired: Wired, postgres: Database, clock: ManualClock) -> None:
    wire, storage, chats = wired
    clock.advance(TTL / 2)
    with wire.counting() as seen:
        results = await asyncio.gather(*(chats.get_session(name) for name in NAMES * 2))
    assert {result.metadata.expires_at for result in results if result.metadata} == {clock.now + 1.1 * TTL}
    assert len(seen.statements) <= 12
    await storage.close()
    await until_alone(postgres)
    assert ask(postgres, "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'sessions'") == [(60,)]


async def test_concurrent_touches_take_few_statements_and_each_says_whether_its_session_exists(
    wired: Wired, clock: ManualClock
) -> None:
    wire, storage, chats = wired
    version = (await chats.get_session("s00")).version
    clock.advance(TTL / 2)
    with wire.counting() as seen:
        there = await asyncio.gather(*(storage.touch(key(name)) for name in [*NAMES, "never", *NAMES]))
    assert there == [*[True] * 60, False, *[True] * 60]
    assert len(seen.statements) <= 10
    read = await chats.get_session("s59", touch=False)
    assert read.metadata is not None
    assert read.metadata.expires_at == clock.now + 1.1 * TTL
    assert (await chats.get_session("s00")).version == version


async def test_concurrent_calls_of_all_kinds_each_reach_their_own_session(wired: Wired) -> None:
    _, storage, chats = wired
    names = NAMES[:20]
    updates, reads, touches, looks = await asyncio.gather(
        asyncio.gather(*(chats.update_session(name, append(name)) for name in names)),
        asyncio.gather(*(chats.get_session(name) for name in names)),
        asyncio.gather(*(storage.touch(key(name)) for name in names)),
        asyncio.gather(*(chats.get_session(name, touch=False) for name in names)),
    )
    assert [result.unwrap()["turns"] for result in updates] == [[name] for name in names]
    assert all(result.unwrap()["turns"] in ([], [name]) for name, result in zip(names, reads, strict=True))
    assert all(result.unwrap()["turns"] in ([], [name]) for name, result in zip(names, looks, strict=True))
    assert all(touches)


@pytest.mark.parametrize("batching", [Batching(concurrency=1), Batching()], ids=["one place", "as it is"])
async def test_a_row_that_another_transaction_holds_delays_no_other_session(
    url: str, postgres: Database, batching: Batching
) -> None:
    async with open_storage(url, batching=batching) as storage:
        chats = SessionManager(new_chat, storage, "chat")
        for name in "abcdef":
            await chats.create_session(name)
        with locked(postgres, "a"):
            held = asyncio.ensure_future(chats.update_session("a", increment))
            await until_blocked(postgres)
            others = await asyncio.gather(*(chats.update_session(name, increment) for name in "bcdefbcdef"))
            assert [result.unwrap()["n"] for result in others] == [1] * 5 + [2] * 5
            waiting = asyncio.ensure_future(chats.update_session("a", increment))
            assert (await chats.get_session("b")).unwrap()["n"] == 2
            assert not held.done()
        assert [(await call).unwrap()["n"] for call in (held, waiting)] == [1, 2]


async def test_overlapping_batches_in_opposite_order_do_not_deadlock(url: str, postgres: Database) -> None:
    async with open_storage(url) as one, open_storage(url) as other:
        desks = [SessionManager(new_chat, storage, "chat") for storage in (one, other)]
        for name in NAMES:
            await desks[0].create_session(name)

        async def update_all(desk: SessionManager[Chat], names: list[str]) -> None:
            for _ in range(6):
                for result in await asyncio.gather(*(desk.update_session(name, increment) for name in names)):
                    result.unwrap()

        await asyncio.gather(update_all(desks[0], NAMES), update_all(desks[1], NAMES[20:][::-1]))
        states = [(await desks[0].get_session(name)).unwrap() for name in NAMES]
    assert [state["n"] for state in states] == [6] * 20 + [12] * 40
    await until_alone(postgres)
    assert _deadlocks(postgres) == 0


async def test_processes_that_update_overlapping_sessions_lose_nothing_and_do_not_deadlock(
    url: str, postgres: Database
) -> None:
    async with open_storage(url) as storage:
        chats = SessionManager(new_chat, storage, "chat")
        for name in NAMES[:12]:
            await chats.create_session(name)
        await pythons(3, "-m", "tests.storage.sql.operations.batch_worker", url, "20", *NAMES[:12])
        states = [(await chats.get_session(name)).unwrap() for name in NAMES[:12]]
    assert [state["n"] for state in states] == [3 * 20 * 2] * 12
    await until_alone(postgres)
    assert _deadlocks(postgres) == 0


def _deadlocks(database: Database) -> int:
    ((count,),) = ask(database, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(count)


async def test_the_first_calls_of_a_process_on_heavy_states_go_in_small_batches(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = NAMES[:12]
    async with open_storage(url) as storage:
        heavy = SessionManager(lambda _: {"n": 0, "said": "x" * 900_000}, storage, "chat")
        for name in names:
            assert (await heavy.create_session(name)).created
    read: list[int] = []
    plain = SqlStorageProvider.get_many

    async def counted(self: SqlStorageProvider, *args: Any, **options: Any) -> Sequence[Document | None]:
        documents = await plain(self, *args, **options)
        read.append(sum(len(document.state) for document in documents if document is not None))
        return documents

    monkeypatch.setattr(SqlStorageProvider, "get_many", counted)
    for call in ("get_session", "update_session"):
        read.clear()
        async with open_storage(url) as storage:
            chats: SessionManager[Chat] = SessionManager(new_chat, storage, "chat")
            given = (increment,) if call == "update_session" else ()
            results = await asyncio.gather(*(getattr(chats, call)(name, *given) for name in names))
        assert all(result.success for result in results)
        assert max(read) <= 4_000_000
