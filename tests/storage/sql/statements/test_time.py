"""Whose clock rules, and what a day is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SessionManager, SqlStorageProvider, StorageProvider, open_storage
from sessionstore.storage import Summary
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import MOMENT, TTL, draft, increment, key, new_chat
from tests.support.bystander import ask, set_for_everybody

_HOUR = timedelta(hours=1)
_FAR = TTL + TTL / 10
_NOW_FUNCTIONS = ("now", "statement_timestamp", "transaction_timestamp", "clock_timestamp")


@pytest.mark.parametrize("ahead", [_HOUR, -_HOUR], ids=["ahead", "behind"])
async def test_the_clock_of_postgresql_rules(url: str, postgres: Database, ahead: timedelta) -> None:
    # The database's clock is put an hour off, so that any time of the client's would show.
    ask(postgres, "CREATE SCHEMA off")
    for name in _NOW_FUNCTIONS:
        off = f"pg_catalog.{name}() + interval '{ahead.total_seconds()} s'"
        ask(postgres, f"CREATE FUNCTION off.{name}() RETURNS timestamptz STABLE LANGUAGE sql RETURN {off}")
    set_for_everybody(postgres, "search_path = off, pg_catalog")
    async with open_storage(url) as storage:
        began = _now_of(postgres)
        await _create_and_update(storage, datetime.now(UTC) + ahead)
        assert abs(began - datetime.now(UTC) - ahead) < timedelta(minutes=5)
        # Gone for the database's clock alone, or also for the client's.
        ask(postgres, "UPDATE sessionstore.sessions SET expires_at = now() - interval '1 s'")
        assert not await storage.exists(key())
        assert await storage.purge_expired() == 1


@pytest.mark.parametrize("ahead", [_HOUR, -_HOUR], ids=["ahead", "behind"])
async def test_the_clock_of_sqlite_rules(sqlite_template: Path, tmp_path: Path, ahead: timedelta) -> None:
    engine = create_async_engine(sqlite_url(copied_file(sqlite_template, tmp_path / "sessions.db")))

    def julianday(_: str) -> float:
        return (time.time() + ahead.total_seconds()) / 86400 + 2440587.5

    @event.listens_for(engine.sync_engine, "connect")
    def put_off(connection: Any, _: object) -> None:
        connection.create_function("julianday", 1, julianday)

    try:
        await _create_and_update(SqlStorageProvider(engine), datetime.now(UTC) + ahead)
    finally:
        await engine.dispose()


async def test_a_lifetime_that_is_over_before_the_answer_is_no_failure(url: str) -> None:
    fleeting = draft(ttl=None, max_lifetime=MOMENT)
    async with open_storage(url) as storage:
        for _ in range(3):
            assert (await storage.create(fleeting)).created
            for renew in (False, True):
                summary = await storage.set(fleeting, renew=renew)
                assert summary.expires_at == summary.created_at + MOMENT
        assert not await storage.exists(key())


def _now_of(database: Database) -> datetime:
    ((now,),) = ask(database, "SELECT now()")
    assert isinstance(now, datetime)
    return now


async def _create_and_update(storage: StorageProvider, now: datetime) -> None:
    """Every time that a session is given is the database's, and so is every decision on whether it lives."""
    near = timedelta(minutes=5)
    chats = SessionManager(new_chat, storage, namespace="chat", ttl=TTL)
    for result in (await chats.create_session("s"), await chats.update_session("s", increment)):
        facts = result.metadata
        assert facts is not None
        assert facts.expires_at is not None
        for moment in (facts.created_at, facts.updated_at, facts.last_accessed_at, facts.expires_at - _FAR):
            assert abs(moment - now) < near
    assert (await chats.get_session("s")).success
    assert await storage.purge_expired() == 0


_CHANGES = {
    "New York, spring": ("America/New_York", datetime(2031, 3, 8, 17, 30, 0, 123457, UTC)),
    "New York, autumn": ("America/New_York", datetime(2031, 11, 1, 17, 30, 0, 123457, UTC)),
    "Berlin, spring": ("Europe/Berlin", datetime(2031, 3, 29, 12, 30, 0, 123457, UTC)),
    "Berlin, autumn": ("Europe/Berlin", datetime(2031, 10, 25, 12, 30, 0, 123457, UTC)),
}
_DAYS = timedelta(days=3)
_FAR_DAYS = _DAYS + _DAYS / 10


@pytest.mark.parametrize(("zone", "start"), _CHANGES.values(), ids=_CHANGES)
async def test_a_day_has_24_hours_also_when_the_clocks_change(
    url: str, postgres: Database, zone: str, start: datetime
) -> None:
    set_for_everybody(postgres, f"TimeZone = '{zone}'")
    clock = ManualClock(start)
    async with open_storage(url, clock=clock) as storage:
        await storage.create(draft("left", ttl=_DAYS))
        await storage.create(draft("capped", ttl=_DAYS, max_lifetime=2 * _DAYS))
        await storage.create(draft("ageing", ttl=None, max_lifetime=_DAYS))
        await storage.create_many([draft(name, ttl=_DAYS) for name in ("read", "touched", "set")])
        ageing, capped, left, *_ = await _listed(storage)
        assert (left.expires_at, left.ttl) == (start + _FAR_DAYS, _DAYS)
        assert (capped.expires_at, capped.deadline) == (start + _FAR_DAYS, start + 2 * _DAYS)
        assert (ageing.expires_at, ageing.deadline) == (start + _DAYS, start + _DAYS)

        clock.advance(timedelta(days=1))
        await storage.get(key("read"))
        await storage.touch_many([key("touched"), key("capped")])
        # A new deadline counts from the creation, which was on the other side of the change.
        await storage.set(draft("set", ttl=_DAYS, max_lifetime=2 * _DAYS))
        _, capped, _, read, written, touched = await _listed(storage)
        assert {read.expires_at, written.expires_at, touched.expires_at, capped.expires_at} == {clock.now + _FAR_DAYS}
        assert {written.deadline, capped.deadline} == {start + 2 * _DAYS}

        clock.now = start + _FAR_DAYS - MOMENT
        assert await storage.exists_many([key("left"), key("ageing")]) == [True, False]
        clock.now = start + _FAR_DAYS
        assert await storage.exists_many([key("left"), key("read")]) == [False, True]
        # "left" expired now, and "ageing" 0.3 days before.
        grace = _FAR_DAYS - _DAYS
        assert [await storage.count_expired(grace=grace + by) for by in (MOMENT, timedelta(0))] == [0, 1]
        assert [await storage.purge_expired(grace=by) for by in (grace, MOMENT, timedelta(0))] == [1, 0, 1]


async def _listed(storage: StorageProvider) -> Sequence[Summary]:
    return (await storage.list()).sessions
