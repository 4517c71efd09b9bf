"""What the server takes back for the sake of others is done again; what it ends or refuses leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import psycopg
import pytest

from sessionstore import SqlStorageProvider, StorageUnavailableError, UpdateOutcomeUnknownError, open_storage
from sessionstore.errors import SessionHeldError
from sessionstore.storage import Creation
from sessionstore.storage.sql.connections import gateway
from sessionstore.testing.directory import short_directory
from sessionstore.testing.postgres import Database, PostgresServer, embedded_server
from sessionstore.testing.support.documents import draft, key, rewrite
from tests.support.bystander import (
    ask,
    dsn,
    role,
    set_for_everybody,
    states_of_others,
    until_blocked,
    until_quiet,
    unwritable,
)
from tests.support.databases import driven
from tests.support.discretion import refusal, say_more, secretive
from tests.support.opening import WAYS, in_use, opened

Call: TypeAlias = Callable[[SqlStorageProvider], Awaitable[Any]]

_ATTEMPTS = gateway.ROLLED_BACK_ATTEMPTS

_WRITES: dict[str, Call] = {
    "update": lambda storage: secretive(storage).update_session("b", say_more),
    "update_locked": lambda storage: storage.update_locked(key("b"), rewrite),
    "delete": lambda storage: storage.delete(key("b")),
    "set": lambda storage: storage.set(draft("b")),
    "set_many": lambda storage: storage.set_many([draft("a"), draft("b")]),
    "delete_many": lambda storage: storage.delete_many([key("a"), key("b")]),
    "update_locked_many": lambda storage: storage.update_locked_many([key("a"), key("b")], rewrite),
}
# Only these wait for whoever holds a row; the others pass it over, and come back when it is free.
_LOCKING = {name: call for name, call in _WRITES.items() if name.startswith("update_locked")}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def _fill(storage: SqlStorageProvider) -> None:
    for session_id in ("a", "b"):
        await secretive(storage).create_session(session_id)


async def _assert_well(storage: SqlStorageProvider, postgres: Database) -> None:
    """Nothing is held, and the next call works."""
    assert in_use(storage) == 0
    await until_quiet(postgres)
    assert (await secretive(storage).create_session()).created
    assert in_use(storage) == 0


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_a_write_that_cannot_be_serialized_is_done_again(
    url: str, postgres: Database, level: str, way: str
) -> None:
    set_for_everybody(postgres, f"default_transaction_isolation = '{level}'")
    async with opened(way, url) as storage:
        for call in _LOCKING.values():
            await _fill(storage)
            with psycopg.connect(dsn(postgres.url)) as other:
                other.execute("UPDATE sessionstore.sessions SET version = version + 1 WHERE session_id = 'b'")
                writing = asyncio.ensure_future(call(storage))
                await until_blocked(postgres)
                other.commit()
                assert await writing
            await _assert_well(storage, postgres)


_NEW: dict[str, Call] = {
    "create": lambda storage: storage.create(draft("new")),
    "set": lambda storage: storage.set(draft("new")),
}


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_a_creation_waits_for_another_insert_of_its_session(
    url: str, postgres: Database, level: str, end: str
) -> None:
    set_for_everybody(postgres, f"default_transaction_isolation = '{level}'")
    async with open_storage(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        for call in _NEW.values():
            await _fill(storage)
            with psycopg.connect(dsn(postgres.url), autocommit=True) as other:
                other.execute("BEGIN")
                other.execute(
                    "INSERT INTO sessionstore.sessions SELECT namespace, 'new', state, origin, owner_id, version, "
                    "writes, keys, ttl, created_at, updated_at, last_accessed_at, expires_at, deadline "
                    "FROM sessionstore.sessions WHERE session_id = 'a'"
                )
                writing = asyncio.ensure_future(call(storage))
                await until_blocked(postgres)
                other.execute(end.encode())
                outcome = await writing
            if isinstance(outcome, Creation):
                assert outcome.created is (end == "ROLLBACK")
            assert await storage.delete(key("new"))
            await _assert_well(storage, postgres)


async def test_the_victim_of_a_deadlock_goes_again(url: str, postgres: Database) -> None:
    set_for_everybody(postgres, "deadlock_timeout = '200ms'")
    async with open_storage(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await _fill(storage)
        # On a busy machine, the call may wait for its lock_timeout before the deadlock is made. That proves nothing.
        trials = 0
        while not await _goes_on_after_a_deadlock(storage, postgres):
            trials += 1
            assert trials < _TRIALS
        await _assert_well(storage, postgres)


_TRIALS = 50


async def _goes_on_after_a_deadlock(storage: SqlStorageProvider, postgres: Database) -> bool:
    """Whether a call was the victim of a deadlock. Then it has come to its end; otherwise it waited for too long."""
    before = _deadlocks(postgres)
    # Somebody who locks in another order than the library, and who is not the one to notice.
    async with await psycopg.AsyncConnection.connect(dsn(postgres.url)) as other:
        await other.execute("SET LOCAL deadlock_timeout = '1min'")
        await other.execute("SELECT FROM sessionstore.sessions WHERE session_id = 'b' FOR UPDATE")
        writing = asyncio.ensure_future(_WRITES["update_locked_many"](storage))
        await until_blocked(postgres)
        async with asyncio.timeout(20):
            await other.execute("SELECT FROM sessionstore.sessions WHERE session_id = 'a' FOR UPDATE")
        await other.commit()
        try:
            assert all(await writing)
        except SessionHeldError:
            return False
    return _deadlocks(postgres) > before


def _deadlocks(postgres: Database) -> int:
    ((count,),) = ask(postgres, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(count)


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_a_write_that_is_rolled_back_each_time_is_given_up(
    url: str, postgres: Database, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "ROLLED_BACK_SECONDS", 0)
    async with open_storage(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        for name, call in _WRITES.items():
            await _fill(storage)
            before = _rows(postgres)
            with _refusing_writes(postgres, code):
                error = await refusal(StorageUnavailableError, partial(call, storage))
                assert error.code == code
                assert "nothing was written; try again" in str(error)
                assert ask(postgres, "SELECT last_value FROM attempts") == [(_ATTEMPTS,)], name
                assert _rows(postgres) == before
            assert await call(storage)
            await _assert_well(storage, postgres)


async def test_a_write_that_is_rolled_back_often_is_done_again(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        for call in _WRITES.values():
            await _fill(storage)
            with _refusing_writes(postgres, "40001", times=2 * _ATTEMPTS):
                assert await call(storage)
                assert ask(postgres, "SELECT last_value > %s FROM attempts", 2 * _ATTEMPTS) == [(True,)]
            await _assert_well(storage, postgres)


async def test_many_serializable_calls_at_once_are_all_done(url: str, postgres: Database) -> None:
    set_for_everybody(postgres, "default_transaction_isolation = 'serializable'")
    async with open_storage(url, batching=None) as storage:
        assert isinstance(storage, SqlStorageProvider)
        created = await asyncio.gather(*(storage.create(draft(f"s{n}")) for n in range(150)))
        assert all(it.created for it in created)
        assert all(await asyncio.gather(*(storage.delete(key(f"s{n}")) for n in range(150))))


async def test_a_call_that_is_cancelled_between_two_attempts_holds_nothing(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await _fill(storage)
        with _refusing_writes(postgres, "40001"):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(_until_cancelled(storage), 0.05)
            assert in_use(storage) == 0
        await _assert_well(storage, postgres)


async def _until_cancelled(storage: SqlStorageProvider) -> None:
    while True:
        await refusal(StorageUnavailableError, lambda: storage.delete(key("b")))


_TIMEOUTS = {"statement_timeout": "57014", "lock_timeout": "55P03"}


@pytest.mark.parametrize("setting", _TIMEOUTS)
async def test_a_write_that_waited_too_long_names_the_setting(
    url: str, postgres: Database, setting: str, way: str
) -> None:
    set_for_everybody(postgres, f"{setting} = '50ms'")
    async with opened(way, url) as storage:
        for name, call in _WRITES.items():
            await _fill(storage)
            before = _rows(postgres)
            # Which the update loop gets, and goes on.
            held = setting == "lock_timeout" and name in _LOCKING
            with unwritable(postgres):
                error = await refusal(SessionHeldError if held else StorageUnavailableError, partial(call, storage))
            assert error.code == _TIMEOUTS[setting]
            assert setting in str(error)
            assert _rows(postgres) == before
            await _assert_well(storage, postgres)


def _outstay_and_rewrite(postgres: Database, document: Any) -> Any:
    """An update function that computes, and lets nobody else run, until the server has ended its transaction."""
    for _ in range(2000):
        if "idle in transaction" not in states_of_others(postgres):
            return rewrite(document)
        time.sleep(0.01)
    raise TimeoutError("the server puts up with everything")


_ENDINGS = "'idle_in_transaction_session_timeout', 'transaction_timeout'"  # the second since PostgreSQL 17


async def test_an_update_that_holds_its_lock_too_long_loses_its_connection(
    url: str, postgres: Database, way: str, driver: str
) -> None:
    # asyncpg hangs up when it is told, and knows no more of it when it is asked for something.
    expected = StorageUnavailableError if driver == "psycopg" else UpdateOutcomeUnknownError
    for (setting,) in ask(postgres, f"SELECT name FROM pg_settings WHERE name IN ({_ENDINGS})"):
        set_for_everybody(postgres, f"{setting} = '200ms'")
        async with opened(way, url) as storage:
            await _fill(storage)
            before = _rows(postgres)
            outstay = partial(_outstay_and_rewrite, postgres)
            error = await refusal(expected, partial(storage.update_locked, key("b"), outstay))
            assert driver != "psycopg" or "idle_in_transaction_session_timeout" in str(error)
            assert _rows(postgres) == before
            await _assert_well(storage, postgres)
        set_for_everybody(postgres, f"{setting} = 0")


async def test_a_role_without_a_connection_left_gets_an_error_that_says_so(postgres: Database, driver: str) -> None:
    usage = "GRANT USAGE ON SCHEMA sessionstore TO {role}"
    tables = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessionstore TO {role}"
    with role(postgres, usage, tables, "ALTER ROLE {role} CONNECTION LIMIT 1") as url:
        async with open_storage(driven(url, driver), pool_timeout=0.3) as storage:
            assert isinstance(storage, SqlStorageProvider)
            with psycopg.connect(dsn(url)):
                error = await refusal(StorageUnavailableError, lambda: secretive(storage).get_session("s"))
                assert error.code == "53300"
                assert "lower pool_size" in str(error)
                assert in_use(storage) == 0
            await until_quiet(postgres)
            assert (await secretive(storage).create_session("s")).created
            assert in_use(storage) == 0


async def test_a_server_that_shuts_down_is_told_apart_from_one_that_is_not_there(driver: str) -> None:
    with short_directory(in_memory=True) as directory, embedded_server(directory) as server:
        url = driven(server.url, driver)
        with psycopg.connect(dsn(server.url), autocommit=True) as last:
            postmaster = int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])
            os.kill(postmaster, signal.SIGTERM)  # a smart shutdown, which waits for the last to leave
            _until_nobody_is_let_in(server)
            async with open_storage(url, pool_timeout=2) as storage:
                assert isinstance(storage, SqlStorageProvider)
                error = await refusal(StorageUnavailableError, storage.list)
                assert error.code == "57P03"
                assert "try again in a moment" in str(error)
                assert in_use(storage) == 0
            last.execute("SELECT 1")


def _until_nobody_is_let_in(server: PostgresServer) -> None:
    """A server acts on a signal some time after the signal was sent."""
    for _ in range(1000):
        try:
            psycopg.connect(dsn(server.url)).close()
        except psycopg.OperationalError:
            return
        time.sleep(0.01)
    raise TimeoutError("the server still lets everybody in")


def _rows(database: Database) -> list[tuple[Any, ...]]:
    return ask(database, "SELECT session_id, version, state::text FROM sessionstore.sessions ORDER BY 1")


@contextmanager
def _refusing_writes(database: Database, code: str, *, times: int = 1 << 30) -> Iterator[None]:
    """The server rolls the first writes of sessions back with this code, and counts all."""
    refused = f"IF nextval('attempts') <= {times} THEN RAISE EXCEPTION 'not now' USING ERRCODE = '{code}'; END IF"
    body = f"BEGIN {refused}; RETURN NULL; END"
    ask(database, "CREATE SEQUENCE attempts")
    ask(database, f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    ask(
        database,
        "CREATE TRIGGER refusing BEFORE INSERT OR UPDATE OR DELETE ON sessionstore.sessions "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
    )
    yield
    ask(database, "DROP FUNCTION refuse() CASCADE")
    ask(database, "DROP SEQUENCE attempts")
