"""Appends that come at once go together, each concerns its own caller only, and each lands exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sessionstore import SqlStorageProvider, StorageError, UpdateOutcomeUnknownError, open_storage
from sessionstore.concurrency.deadline import within
from sessionstore.concurrency.sent import Sent, noting
from sessionstore.storage import Append, Fork, NewItem, Summary, Write
from sessionstore.storage.sql.operations import rounds
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import draft, key
from tests.support.bystander import ask, dsn, kill_connections, locked
from tests.support.late import LateGateway
from tests.support.wire import WireCounter


def items(*texts: str) -> list[NewItem]:
    return [NewItem(text) for text in texts]


def log_of(postgres: Database, name: str = "s") -> list[tuple[int, str]]:
    rows = ask(
        postgres,
        "SELECT position, item::text FROM sessionstore.items WHERE session_id = %s ORDER BY position",
        name,
    )
    return [(position, text) for position, text in rows]


def taken(summary: Summary | None) -> list[int | None]:
    assert summary is not None
    return list(summary.appended)


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(url, pool_size=4) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await storage.create_many([draft("s"), draft("t")])
        yield storage


async def test_an_append_is_one_statement(url: str) -> None:
    async with WireCounter(url) as wire, open_storage(wire.url) as storage:
        await storage.create(draft("s"))
        with wire.counting() as seen:
            await storage.append(Append(key("s"), items("1", "2")))
        assert len(seen.statements) == 1


async def test_an_append_with_new_ids_is_one_statement_and_known_ids_are_passed_over(url: str) -> None:
    async with WireCounter(url) as wire, open_storage(wire.url) as storage:
        created = await storage.create(draft("s"))
        with wire.counting() as seen:
            landed = await storage.append(Append(key("s"), [NewItem("1", "a"), NewItem("2", "b")]))
        assert len(seen.statements) == 1
        assert taken(landed) == [1, 2]
        again = await storage.append(Append(key("s"), [NewItem("2", "b"), NewItem("3"), NewItem("4", "c")]))
        assert taken(again) == [None, 3, 4]
        with wire.counting() as seen:
            write = Write(created.document.summary, "[1]", items=[NewItem("5", "d")])
            assert taken(await storage.update(write)) == [5]
        assert len(seen.statements) == 1


async def test_a_known_id_of_one_session_leaves_the_appends_beside_it(storage: SqlStorageProvider) -> None:
    await storage.append(Append(key("s"), [NewItem("1", "a")]))
    landed = await asyncio.gather(
        storage.append(Append(key("t"), [NewItem("0", "a")])),
        storage.append(Append(key("s"), [NewItem("1", "a"), NewItem("2", "b")])),
        storage.append(Append(key("s"), [NewItem("3", "b"), NewItem("4", "c")])),
    )
    assert [taken(it) for it in landed] == [[1], [None, 2], [None, 3]]


async def test_appends_at_once_take_few_statements_and_keep_the_order_of_the_calls(url: str, patient: None) -> None:
    async with WireCounter(url) as wire, open_storage(wire.url) as storage:
        names = [f"s{n}" for n in range(20)]
        await storage.create_many([draft(name) for name in names])
        with wire.counting() as seen:
            landed = await asyncio.gather(
                *(storage.append(Append(key(name), items(f"{n}", f"{n}"))) for n in range(10) for name in names)
            )
        assert len(seen.statements) <= 12
        for at, name in enumerate(names):
            own = landed[at :: len(names)]
            assert [taken(summary) for summary in own] == [[2 * n + 1, 2 * n + 2] for n in range(10)], name
            assert [it and (it.last_position, it.item_count) for it in own] == [(2 * n, 2 * n) for n in range(1, 11)]


async def test_a_held_row_delays_only_the_appends_of_its_session(
    storage: SqlStorageProvider, postgres: Database
) -> None:
    with locked(postgres, "s"):
        waiting = asyncio.ensure_future(storage.append(Append(key("s"), items("1"))))
        async with asyncio.timeout(10):
            for _ in range(20):
                assert await storage.append(Append(key("t"), items("1"))) is not None
        assert not waiting.done()
    async with asyncio.timeout(10):
        assert taken(await waiting) == [1]
    assert log_of(postgres) == [(1, "1")]


async def test_a_timeout_at_a_held_row_says_that_nothing_was_written(
    storage: SqlStorageProvider, postgres: Database
) -> None:
    with locked(postgres, "s"):
        sent = Sent()
        with noting(sent):
            waiting = storage.append(Append(key("s"), items("1")))
            with pytest.raises(StorageError) as raised:
                await within(timedelta(seconds=0.5), waiting, sent.written)
    assert type(raised.value).__name__ == "StorageUnavailableError"
    assert log_of(postgres) == []


async def test_a_lost_look_at_the_holder_of_a_row_leaves_the_outcome_of_an_append_known(
    storage: SqlStorageProvider, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = storage._fetching.batch
    looks = 0

    async def batch(pair: Any, *args: Any, **how: Any) -> Sequence[Any]:
        nonlocal looks
        if pair is storage._statements.held and not looks:
            looks += 1
            kill_connections(postgres)  # the holder's too
        return await plain(pair, *args, **how)

    monkeypatch.setattr(storage._fetching, "batch", batch)
    with closing(psycopg.connect(dsn(postgres.url))) as holder:
        holder.execute("SELECT FROM sessionstore.sessions WHERE session_id = 's' FOR UPDATE")
        assert taken(await storage.append(Append(key("s"), items("1")))) == [1]
    assert looks == 1


async def test_a_refused_append_concerns_only_its_caller(storage: SqlStorageProvider, postgres: Database) -> None:
    texts = ["1", "no JSON", "3", "4"]
    asked = [storage.append(Append(key("s"), items(text))) for text in texts]
    landed = await asyncio.gather(*asked, storage.append(Append(key("t"), items("5"))), return_exceptions=True)
    assert [isinstance(it, StorageError) for it in landed] == [False, True, False, False, False]
    assert [text for _, text in log_of(postgres)] == ["1", "3", "4"]
    assert [text for _, text in log_of(postgres, "t")] == ["5"]


async def test_a_cancelled_append_leaves_those_beside_it(storage: SqlStorageProvider, postgres: Database) -> None:
    with locked(postgres, "s"):
        calls = [asyncio.ensure_future(storage.append(Append(key("s"), items(f"{n}")))) for n in range(6)]
        await storage.append(Append(key("t"), items("1")))
        for call in calls[::2]:
            call.cancel()
        await asyncio.wait(calls[::2])
    async with asyncio.timeout(10):
        await asyncio.gather(*calls[1::2])
    assert sorted(text for _, text in log_of(postgres)) == ["1", "3", "5"]
    assert [position for position, _ in log_of(postgres)] == [1, 2, 3]


@pytest.fixture
def gateway(storage: SqlStorageProvider, monkeypatch: pytest.MonkeyPatch) -> LateGateway:
    gateway = LateGateway(storage._gateway)
    monkeypatch.setattr(storage._fetching, "_gateway", gateway)
    return gateway


@pytest.mark.parametrize("lost", [1, 2, 3], ids=["once", "twice", "three times"])
@pytest.mark.parametrize("before", [0, 1, 20])
async def test_an_append_whose_answers_were_lost_and_that_lands_late_is_there_once(
    storage: SqlStorageProvider, gateway: LateGateway, postgres: Database, lost: int, before: int
) -> None:
    for n in range(before):
        await storage.append(Append(key("s"), items(f'"before {n}"')))
    gateway.late = lost
    landed = await asyncio.gather(*(storage.append(Append(key(name), items(f'"{name}"', "2"))) for name in "sst"))
    assert sorted(position for it in landed[:2] for position in taken(it) if position) == [
        *range(before + 1, before + 5)
    ]
    assert taken(landed[2]) == [1, 2]
    for n in range(20):  # the journal keeps sixteen changes
        await storage.append(Append(key("s"), items(f'"after {n}"')))
    await gateway.land()
    there = [text for _, text in log_of(postgres)]
    assert there == [
        *(f'"before {n}"' for n in range(before)),
        *('"s"', "2") * 2,
        *(f'"after {n}"' for n in range(20)),
    ]
    assert [text for _, text in log_of(postgres, "t")] == ['"t"', "2"]


async def test_an_append_whose_answer_was_lost_lands_although_the_row_is_held_afterwards(
    storage: SqlStorageProvider, gateway: LateGateway, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "HELD_SECONDS", 5.0)
    plain = storage._fetching.batch
    with closing(psycopg.connect(dsn(postgres.url))) as holder:

        async def batch(pair: Any, *args: Any, **how: Any) -> Sequence[Any]:
            rows = await plain(pair, *args, **how)
            if pair is storage._statements.settled_appends:  # before the append is sent again
                holder.execute("SELECT FROM sessionstore.sessions WHERE session_id = 's' FOR UPDATE")
            elif pair is storage._statements.held:
                holder.rollback()
            return rows

        monkeypatch.setattr(storage._fetching, "batch", batch)
        gateway.late = 1
        assert taken(await storage.append(Append(key("s"), items("1")))) == [1]
    await gateway.land()
    assert log_of(postgres) == [(1, "1")]


@pytest.mark.parametrize("since", [0, 1, 40])
async def test_an_append_that_landed_although_its_answer_was_lost_is_not_sent_again(
    storage: SqlStorageProvider, postgres: Database, monkeypatch: pytest.MonkeyPatch, since: int
) -> None:
    plain = storage._fetching.batch
    lost = False

    async def batch(pair: Any, *args: Any, **how: Any) -> Sequence[Any]:
        nonlocal lost
        rows = await plain(pair, *args, **how)
        if pair is storage._statements.append and not lost:
            lost = True
            for n in range(since):  # appends of other processes
                async with open_storage(postgres.url) as other:
                    await other.append(Append(key("s"), items(f"{n}")))
            raise UpdateOutcomeUnknownError("lost")
        return rows

    monkeypatch.setattr(storage._fetching, "batch", batch)
    assert taken(await storage.append(Append(key("s"), items('"a"', '"b"')))) == [1, 2]
    assert log_of(postgres)[:2] == [(1, '"a"'), (2, '"b"')]
    assert len(log_of(postgres)) == 2 + since


async def test_the_outcome_of_a_lost_append_is_unknown_when_its_session_is_gone(
    storage: SqlStorageProvider, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = storage._fetching.batch

    async def batch(pair: Any, *args: Any, **how: Any) -> Sequence[Any]:
        if pair is storage._statements.append:
            async with open_storage(postgres.url) as other:
                await other.delete(key("s"))
            raise UpdateOutcomeUnknownError("lost")
        return await plain(pair, *args, **how)

    monkeypatch.setattr(storage._fetching, "batch", batch)
    with pytest.raises(UpdateOutcomeUnknownError):
        await storage.append(Append(key("s"), items("1")))
    assert log_of(postgres) == []


@pytest.mark.parametrize("replaced", ["created", "set", "forked"])
async def test_a_lost_append_does_not_land_on_a_session_that_replaces_an_expired_one(
    url: str, postgres: Database, monkeypatch: pytest.MonkeyPatch, replaced: str
) -> None:
    clock = ManualClock()
    async with open_storage(url, clock=clock) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await storage.create_many([draft("s"), draft("t", ttl=None)])
        gateway = LateGateway(storage._gateway)
        monkeypatch.setattr(storage._fetching, "_gateway", gateway)
        clock.advance(timedelta(days=1))
        gateway.late = 1
        assert await storage.append(Append(key("s"), items("1"))) is None
        if replaced == "forked":
            await storage.fork(Fork(key("t"), key("s")))
        elif replaced == "set":
            await storage.set(draft("s"))
        else:
            assert (await storage.create(draft("s"))).created
        await gateway.land()
        assert log_of(postgres) == []
        assert taken(await storage.append(Append(key("s"), items("2")))) == [1]
