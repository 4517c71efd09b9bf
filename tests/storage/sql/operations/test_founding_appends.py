"""Appends that create their session: in one statement, and exactly once also where answers are lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sessionstore import SessionManager, SessionOwnerError, SqlStorageProvider, open_storage
from sessionstore.storage import Append, NewItem, Window
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.conformance.model.losses import Loss
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import TTL, draft, key, new_chat
from tests.model.lost_answers import LostAnswers
from tests.support.bystander import ask, dsn, locked, until
from tests.support.wire import WireCounter


def founding(name: str = "s", *texts: str, **how: Any) -> Append:
    items = [NewItem(text) for text in texts or ("1", "2")]
    return Append(key(name), items, create=draft(name, owner_id=how.get("owner_id")), **how)


def log_of(postgres: Database, name: str = "s") -> list[str]:
    query = "SELECT item::text FROM sessionstore.items WHERE session_id = %s ORDER BY position"
    return [text for (text,) in ask(postgres, query, name)]


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(url, pool_size=4) as storage:
        assert isinstance(storage, SqlStorageProvider)
        yield storage


@pytest.fixture
def answers(storage: SqlStorageProvider, monkeypatch: pytest.MonkeyPatch) -> LostAnswers:
    return LostAnswers(storage, monkeypatch)


async def test_an_append_that_may_create_is_one_statement(url: str) -> None:
    clock = ManualClock()
    async with WireCounter(url) as wire, open_storage(wire.url, clock=clock) as storage:
        chats = SessionManager(new_chat, storage, "chat", ttl=TTL)
        await chats.create_session("warm")
        for name, created in (("s", True), ("s", False), ("late", True), ("late", False)):
            with wire.counting() as seen:
                appended = await chats.append_items(name, ["a"], create=True, idempotency_key=f"{created}", ids=["i"])
            assert (appended.success, appended.created, appended.applied) == (True, created, created)
            # A known id takes a transaction.
            assert len(seen.statements) == 1 or not created, seen.statements
        with wire.counting() as seen:
            appended = await chats.append_items("s", ["b"], create=True, owner_id=None)
        assert (len(seen.statements), appended.created, appended.last_position) == (1, False, 2)
        clock.advance(2 * TTL)
        with wire.counting() as seen:
            appended = await chats.append_items("s", ["c"], create=True, owner_id="u1")
        # The storage takes the session for live, and looks for it first.
        assert (len(seen.statements), appended.created) == (2, True)
        assert [(item.position, item.data) for item in (await chats.get_items("s")).items] == [(1, "c")]
        assert appended.metadata is not None
        assert (appended.metadata.created_at, appended.metadata.owner_id) == (clock.now, "u1")
        assert appended.metadata.expires_at == clock.now + 1.1 * TTL
        other = await chats.append_items("s", ["d"], create=True, owner_id="u2")
        assert not other.success
        assert isinstance((await chats.create_session("s", owner_id="u2")).error, SessionOwnerError)


async def test_appends_that_create_share_a_statement(url: str, patient: None) -> None:
    async with WireCounter(url) as wire, open_storage(wire.url) as storage:
        await storage.create_many([draft("s0"), draft("s1")])
        with wire.counting() as seen:
            landed = await asyncio.gather(
                *(storage.append(founding(f"s{n % 10}", f"{n}")) for n in range(60)),
            )
        assert len(seen.statements) <= 8, len(seen.statements)
        assert sum(it is not None and it.created for it in landed) == 8
        for at in range(10):
            positions = [list(it.appended) for it in landed[at::10] if it is not None]
            assert positions == [[n] for n in range(1, 7)]


async def test_only_an_append_to_a_session_of_a_moment_ago_looks_for_it_first(url: str) -> None:
    async with WireCounter(url) as wire, open_storage(wire.url) as storage, open_storage(url) as another:
        await storage.append(founding("warm"))
        for name in ("s", "read"):
            await another.append(founding(name, "0"))
        await storage.get(key("read"), window=Window("", 1))
        # How many statements each takes once another process has deleted the session.
        for name, statements in (("s", 1), ("s", 2), ("s", 2), ("read", 2)):
            assert await another.delete(key(name))
            with wire.counting() as seen:
                landed = await storage.append(founding(name))
            assert landed is not None
            assert (landed.created, list(landed.appended), len(seen.statements)) == (True, [1, 2], statements)


async def test_found_and_absent_sessions_share_a_batch(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage, open_storage(url) as another:
        for name in ("live", "gone"):
            await storage.append(founding(name, "0"))
        assert await another.delete(key("gone"))
        names = ("live", "gone", "new")
        landed = await asyncio.gather(*(storage.append(founding(name, f"{n}")) for n in range(1, 9) for name in names))
        assert all(it is not None for it in landed)
        assert [it is not None and it.created for it in landed].count(True) == 2
        first = {"live": 0, "gone": 1, "new": 1}
        for name in names:
            assert log_of(postgres, name) == [f"{n}" for n in range(first[name], 9)]


async def test_one_of_many_creators_on_several_storages_creates(url: str, postgres: Database) -> None:
    async with open_storage(url) as first, open_storage(url, batching=None) as second:
        for name in ("a", "b", "c"):
            calls = [each.append(founding(name, f"{n}")) for n in range(10) for each in (first, second)]
            landed = await asyncio.gather(*calls)
            assert [it is not None and it.created for it in landed].count(True) == 1
            assert sorted(at for it in landed if it is not None for at in it.appended if at) == list(range(1, 21))
            assert len(log_of(postgres, name)) == 20


_LOSSES: Sequence[list[Loss]] = [[loss] * times for loss in Loss for times in (1, 2)]


@pytest.mark.parametrize("losses", _LOSSES, ids=lambda losses: f"{losses[0].name.lower()}-{len(losses)}")
@pytest.mark.parametrize(
    "there", ["absent", "live", "expired", "live, of another process", "expired, of another process"]
)
@pytest.mark.parametrize("kept", [None, 5])
async def test_a_lost_append_that_may_create_lands_once(
    url: str, postgres: Database, monkeypatch: pytest.MonkeyPatch, losses: list[Loss], there: str, kept: int | None
) -> None:
    clock = ManualClock()
    async with open_storage(url, clock=clock) as storage:
        assert isinstance(storage, SqlStorageProvider)
        if there != "absent":
            async with open_storage(url, clock=clock) as another:
                await (another if there.endswith("process") else storage).append(founding("s", "0"))
            clock.advance(2 * TTL if there.startswith("expired") else timedelta(0))
        answers = LostAnswers(storage, monkeypatch)
        answers.losses = list(losses)
        landed = await storage.append(replace(founding(), keep=kept))
        assert landed is not None
        assert landed.created == (not there.startswith("live"))
        expected = ["0", "1", "2"] if there.startswith("live") else ["1", "2"]
        assert log_of(postgres) == expected
        await answers.land()
        assert log_of(postgres) == expected
        assert await storage.delete(key())
        assert ask(postgres, "SELECT count(*) FROM sessionstore.items") == [(0,)]


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("recent", [False, True])
async def test_a_lost_append_that_may_create_lands_on_no_session_of_later(
    storage: SqlStorageProvider, answers: LostAnswers, postgres: Database, again: bool, recent: bool
) -> None:
    if recent:
        await storage.append(founding("s", "0"))
        assert await storage.delete(key())
    answers.losses = [Loss.LATE]
    landed = await storage.append(founding())
    assert landed is not None
    assert await storage.delete(key())
    if again:
        await storage.create(draft())
    await answers.land()
    assert log_of(postgres) == []
    assert await storage.exists(key()) is again


async def test_an_uncommitted_creation_delays_only_its_own_session(
    storage: SqlStorageProvider, postgres: Database
) -> None:
    with psycopg.connect(dsn(postgres.url)) as connection:
        connection.execute(
            "INSERT INTO sessionstore.sessions (namespace, session_id, state, version, created_at, updated_at, "
            "last_accessed_at) VALUES ('chat', 's', '{}', 1, now(), now(), now())"
        )
        waiting = asyncio.ensure_future(storage.append(founding()))
        kept = asyncio.ensure_future(storage.append(replace(founding(), keep=9)))
        await until(postgres, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        async with asyncio.timeout(20):
            landed = await asyncio.gather(*(storage.append(founding(f"t{n}")) for n in range(5)))
        assert [it is not None and it.created for it in landed] == [True] * 5
        assert not waiting.done()
        connection.rollback()
    async with asyncio.timeout(20):
        both = [await waiting, await kept]
    assert [it is not None and it.created for it in both].count(True) == 1
    assert log_of(postgres) == ["1", "2", "1", "2"]


async def test_a_held_row_of_an_expired_session_is_replaced_when_it_is_free(
    url: str, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    async with open_storage(url, clock=clock) as storage:
        await storage.append(founding("s", "0"))
        clock.advance(2 * TTL)
        with locked(postgres, "s"):
            waiting = asyncio.ensure_future(storage.append(founding()))
            assert (await storage.append(founding("t"))) is not None
            assert not waiting.done()
        landed = await waiting
        assert landed is not None
        assert (landed.created, list(landed.appended)) == (True, [1, 2])
        assert log_of(postgres) == ["1", "2"]
