"""Connections that went dead without a word, while new ones work: as behind a firewall that forgot them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic

import pytest

from sessionstore import (
    ConfigurationError,
    SessionManager,
    SessionResult,
    SqlStorageProvider,
    StorageError,
    StorageProvider,
    open_storage,
)
from sessionstore.storage import Document, Key, Write
from sessionstore.storage.sql.dialects.postgresql import IDLE_IN_TRANSACTION, PostgreSQL
from sessionstore.testing.postgres import Database, PostgresServer
from tests.support.bystander import ask, until
from tests.support.opening import all_given_back, pool_of

from .proxy import Proxy, Silence
from .tally import State
from .ways import migrated, through
from .writers import sessions_of

_TIMEOUT = timedelta(seconds=1)
_BOUND = 1.0
_HEALED = 4.0
"""One bound, the time to notice that the server does not confirm, and that to connect. A busy machine has some more."""
_CONNECTIONS = 10


async def _fill_pool(storage: StorageProvider, database: Database) -> SessionManager[State]:
    """Leaves as many idle connections as the pool takes."""
    assert isinstance(storage, SqlStorageProvider)
    manager = sessions_of(storage)
    for n in range(_CONNECTIONS):
        await manager.create_session(f"s{n}")
    held = storage._gateway.channel.connections
    leases = [await held.take() for _ in range(_CONNECTIONS)]
    for lease in leases:
        await held.give_back(lease)
    assert held.idle == _CONNECTIONS
    return manager


def _mark(state: State) -> None:
    state["marks"]["n"] = state["marks"].get("n", 0) + 1


async def test_silently_dead_connections_cost_at_most_one_timeout(server: PostgresServer, driver: str) -> None:
    async with (
        migrated(server) as database,
        Proxy(database.url) as proxy,
        through(proxy.url, driver) as storage,
    ):
        manager = await _fill_pool(storage, database)
        assert proxy.silence() == _CONNECTIONS
        failed = 0
        for n in range(20):
            try:
                assert (await manager.get_session(f"s{n % _CONNECTIONS}", timeout=_TIMEOUT)).success
            except StorageError:
                failed += 1
        assert failed <= 1
        assert isinstance(storage, SqlStorageProvider)
        await all_given_back(storage, _HEALED)


async def test_callers_at_once_lose_one_timeout_each_at_most(server: PostgresServer, driver: str) -> None:
    async with (
        migrated(server) as database,
        Proxy(database.url) as proxy,
        through(proxy.url, driver) as storage,
    ):
        manager = await _fill_pool(storage, database)
        assert proxy.silence() == _CONNECTIONS
        calls = [manager.update_session(f"s{n}", _mark, timeout=_TIMEOUT) for n in range(_CONNECTIONS)]
        await asyncio.gather(*calls, return_exceptions=True)
        calls = [manager.update_session(f"s{n}", _mark, timeout=2 * _TIMEOUT) for n in range(_CONNECTIONS)]
        assert all(result.success for result in await asyncio.gather(*calls))


async def test_a_service_without_timeouts_recovers_after_the_bound_of_a_statement(
    server: PostgresServer, driver: str
) -> None:
    async with (
        migrated(server) as database,
        Proxy(database.url) as proxy,
        through(proxy.url, driver, statement_timeout=_BOUND) as storage,
    ):
        manager = await _fill_pool(storage, database)
        calls: list[Callable[[], Awaitable[SessionResult[State]]]] = [
            lambda: manager.get_session("s0"),
            lambda: manager.update_session("s1", _mark),
        ]
        for call in calls:
            assert proxy.silence() > 0
            began = monotonic()
            assert (await call()).success
            assert monotonic() - began < _HEALED
        assert (await manager.get_session("s1")).unwrap()["marks"] == {"n": 1}


@pytest.mark.parametrize(
    ("words", "silence", "pool_size"),
    [
        (b"FOR NO KEY UPDATE", Silence.ANSWERS, 1),
        (b"UPDATE ", Silence.REQUESTS, 10),
        (b"COMMIT", Silence.REQUESTS, 10),
        (b"COMMIT", Silence.ANSWERS, 10),
        (b"COMMIT", Silence.BOTH, 1),
    ],
    ids=str,
)
async def test_a_connection_that_dies_in_a_transaction_gives_its_row_free(
    server: PostgresServer, driver: str, words: bytes, silence: Silence, pool_size: int
) -> None:
    """The server hears nothing of the end of the connection, and is told by another connection."""
    async with (
        migrated(server) as database,
        Proxy(database.url) as proxy,
        through(proxy.url, driver, statement_timeout=_BOUND, pool_size=pool_size) as storage,
        through(database.url, driver) as another,
    ):
        await sessions_of(storage).create_session("s0")
        locking = b"FOR " in words
        if locking:
            proxy.silence_at(words, silence)

        def change(document: Document) -> Write:
            if not locking:
                proxy.silence_at(words, silence)
            return Write(document.summary, document.state)

        began = monotonic()
        with pytest.raises(StorageError):
            await storage.update_locked(Key("faults", "s0"), change)
        assert (await sessions_of(another).update_session("s0", _mark)).success
        assert (await sessions_of(storage).update_session("s0", _mark)).success
        # A transaction has two seconds more.
        assert monotonic() - began < 2 + _HEALED


async def test_the_server_ends_a_transaction_that_nobody_else_could_end(
    server: PostgresServer, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = PostgreSQL.begin.replace(IDLE_IN_TRANSACTION, "300ms")
    assert begin != PostgreSQL.begin
    monkeypatch.setattr(PostgreSQL, "begin", begin)
    async with (
        migrated(server) as database,
        Proxy(database.url) as proxy,
        through(proxy.url, driver, statement_timeout=_BOUND) as storage,
        through(database.url, driver) as another,
    ):
        await _fill_pool(storage, database)
        assert isinstance(storage, SqlStorageProvider)

        def die(document: Document) -> Write:
            assert proxy.silence() > 0
            proxy.lead_to("postgresql://127.0.0.1:1/nowhere")
            return Write(document.summary, document.state)

        with pytest.raises(StorageError):
            await storage.update_locked(Key("faults", "s0"), die)
        async with asyncio.timeout(_HEALED):
            assert (await sessions_of(another).update_session("s0", _mark)).success


async def test_a_statement_that_nobody_waits_for_is_cancelled_on_the_server(
    server: PostgresServer, driver: str
) -> None:
    async with (
        migrated(server) as database,
        Proxy(database.url) as proxy,
        through(proxy.url, driver, statement_timeout=_BOUND) as storage,
    ):
        manager = await _fill_pool(storage, database)
        body = "BEGIN PERFORM pg_sleep(60); RETURN NEW; END"
        ask(database, f"CREATE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
        before = "BEFORE UPDATE ON sessionstore.sessions FOR EACH ROW"
        ask(database, f"CREATE TRIGGER hang {before} EXECUTE FUNCTION public.hang()")
        running = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        updates = [asyncio.create_task(manager.update_session(f"s{n}", _mark, timeout=_TIMEOUT)) for n in range(3)]
        await until(database, f"SELECT count(*) > 0 {running}")
        proxy.silence()
        ends = await asyncio.gather(*updates, return_exceptions=True)
        assert all(isinstance(end, StorageError) for end in ends)
        await until(database, f"SELECT count(*) = 0 {running}")
        # A connection that went silent between two messages holds its lock on the table until the server notices.
        cut_short = "state = 'active' AND wait_event = 'ClientRead' AND datname = current_database()"
        ask(database, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {cut_short}")
        await asyncio.to_thread(ask, database, "DROP TRIGGER hang ON sessionstore.sessions")
        assert (await manager.update_session("s0", _mark)).success
        assert isinstance(storage, SqlStorageProvider)
        await all_given_back(storage, _HEALED)


async def test_a_connection_that_was_idle_for_too_long_is_replaced(server: PostgresServer, driver: str) -> None:
    async with migrated(server) as database, through(database.url, driver, idle_timeout=0.2, pool_size=1) as storage:
        assert isinstance(storage, SqlStorageProvider)
        manager = sessions_of(storage)
        await manager.create_session("s")
        backend = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        before = ask(database, backend)
        await asyncio.sleep(0.3)
        assert (await manager.get_session("s")).success
        await until(database, f"SELECT count(*) = 1 FROM ({backend}) AS others")
        assert ask(database, backend) != before
        assert pool_of(storage).checkedout() == 1


@pytest.mark.parametrize("given", [0, -1, "soon", True, float("nan")])
def test_an_invalid_bound_is_refused_by_its_name(given: object) -> None:
    for name in ("statement_timeout", "idle_timeout"):
        with pytest.raises(ConfigurationError, match=f"{name} of open_storage"):
            open_storage("postgresql://nobody@127.0.0.1/app", **{name: given})
