"""Reads of a server that only reads: a standby, a primary that was told to, a role that may not write."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.engine import make_url

from sessionstore import SessionManager, SqlStorageProvider, StorageUnavailableError
from sessionstore.storage.sql.connections import readers
from sessionstore.testing.postgres import Database
from tests.support.bystander import ask, backends

from .pair import SESSIONS, age_sessions, due, fill_pool, let_write, mark, opened_in
from .proxy import Fault, Proxy
from .server import Cluster, until
from .tally import State
from .ways import through


@pytest.fixture(params=["open_storage", "service's engine", "service's NullPool"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def _read_all(manager: SessionManager[State]) -> None:
    """Each session at once, and each by itself."""
    names = [f"s{n}" for n in range(SESSIONS)]
    results = list(await asyncio.gather(*map(manager.get_session, names)))
    results += [await manager.get_session(name) for name in names]
    assert all(result.success for result in results)


async def test_a_standby_answers_reads_whose_access_is_due(
    primary: Cluster, standby: Cluster, driver: str, way: str
) -> None:
    age_sessions(primary, standby)
    async with opened_in(way, standby.url, driver) as storage:
        manager = await fill_pool(storage)
        before = backends(Database(standby.url))
        await _read_all(manager)
        if way != "service's NullPool":
            assert backends(Database(standby.url)) == before
    assert due(primary) == SESSIONS


@contextmanager
def _reading_role(server: Cluster) -> Iterator[str]:
    database = Database(server.url)
    grants = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessionstore"
    for statement in (
        "CREATE ROLE reader LOGIN",
        "ALTER ROLE reader SET default_transaction_read_only = on",
        "GRANT USAGE ON SCHEMA sessionstore TO reader",
        f"GRANT {grants} TO reader",
    ):
        ask(database, statement)
    try:
        yield make_url(server.url).set(username="reader").render_as_string(hide_password=False)
    finally:
        ask(database, "DROP OWNED BY reader CASCADE")
        ask(database, "DROP ROLE reader")


async def test_a_role_that_only_reads_is_answered_without_new_connections(
    primary: Cluster, driver: str, way: str
) -> None:
    age_sessions(primary)
    with _reading_role(primary) as url:
        async with opened_in(way, url, driver) as storage:
            manager = await fill_pool(storage)
            before = backends(Database(primary.url))
            await _read_all(manager)
            if way != "service's NullPool":
                assert backends(Database(primary.url)) == before
            with pytest.raises(StorageUnavailableError, match="only reads here"):
                await manager.update_session("s0", mark)
            await _read_all(manager)


async def test_accesses_are_recorded_once_the_server_writes(
    primary: Cluster, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.storage.sql.operations.late._PAUSE_OF_READERS", 0.1)
    age_sessions(primary)
    async with through(primary.url, driver) as storage:
        manager = await fill_pool(storage)
        await asyncio.to_thread(let_write, primary, False)
        await _read_all(manager)
        assert due(primary) == SESSIONS
        await asyncio.to_thread(let_write, primary, True)
        assert (await manager.get_session("s0", touch=False)).success
        await asyncio.to_thread(until, lambda: due(primary) == 0)


async def test_one_refused_access_tells_that_an_old_server_only_reads(primary: Cluster, driver: str) -> None:
    """As one before PostgreSQL 14, or a pooler."""
    database = Database(primary.url)
    body = "BEGIN RAISE EXCEPTION 'only reads' USING ERRCODE = '25006'; END"
    age_sessions(primary)
    ask(database, f"CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
    ask(
        database,
        "CREATE TRIGGER t BEFORE UPDATE ON sessionstore.sessions FOR EACH ROW EXECUTE FUNCTION public.refuse()",
    )
    try:
        async with through(primary.url, driver) as storage:
            manager = await fill_pool(storage)
            assert (await manager.get_session("s0")).success
            before = backends(database)
            await _read_all(manager)
            await _read_all(manager)
            assert before <= backends(database)
    finally:
        ask(database, "DROP FUNCTION public.refuse() CASCADE")


async def test_reads_leave_a_standby_soon_after_its_name_leads_to_the_primary(
    primary: Cluster, standby: Cluster, driver: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LOOK_SECONDS", 0.2)
    async with Proxy(standby.url) as proxy, opened_in(way, proxy.url, driver) as storage:
        manager = await fill_pool(storage)
        proxy.lead_to(primary.url)
        async with asyncio.timeout(20):
            while backends(Database(standby.url)):
                assert (await manager.get_session("s0", touch=False)).success
        assert (await manager.get_session("s0", touch=False)).success


async def test_the_first_read_after_a_rest_does_not_ask_a_standby_that_was_left(
    primary: Cluster, standby: Cluster, driver: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "_UNKNOWN_SECONDS", 0.0)
    async with Proxy(standby.url) as proxy, opened_in(way, proxy.url, driver) as storage:
        manager = await fill_pool(storage)
        await manager.get_session("s0", touch=False)
        proxy.lead_to(primary.url)
        ask(Database(primary.url), "UPDATE sessionstore.sessions SET owner_id = 'seen' WHERE session_id = 's1'")
        ask(Database(standby.url), "SELECT pg_wal_replay_pause()")
        try:
            ask(Database(primary.url), "UPDATE sessionstore.sessions SET owner_id = 'new' WHERE session_id = 's1'")
            result = await manager.get_session("s1", touch=False)
            assert result.metadata is not None
            assert result.metadata.owner_id == "new"
        finally:
            ask(Database(standby.url), "SELECT pg_wal_replay_resume()")


async def test_a_standby_that_stays_one_is_read_from_without_new_connections(
    standby: Cluster, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LOOK_SECONDS", 0.02)
    async with through(standby.url, driver) as storage:
        manager = await fill_pool(storage)
        assert isinstance(storage, SqlStorageProvider)
        held = storage._gateway.channel.connections
        before = backends(Database(standby.url))
        while held.readers._seen < held._idle[-1].since + 0.5:
            assert (await manager.get_session("s0", touch=False)).success
        assert before <= backends(Database(standby.url))


async def test_a_read_is_answered_whose_access_was_lost_with_the_connection(
    primary: Cluster, driver: str, way: str
) -> None:
    age_sessions(primary)
    async with Proxy(primary.url) as proxy, opened_in(way, proxy.url, driver) as storage:
        manager = await fill_pool(storage)
        struck = proxy.arm(Fault.CUT)
        assert (await manager.get_session("s0")).success
        assert struck.is_set()
        await asyncio.to_thread(until, lambda: due(primary) == SESSIONS - 1)
