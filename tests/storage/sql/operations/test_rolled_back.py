"""What the server takes back for the sake of others is done again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from sessionstore import SqlStorageProvider, StorageUnavailableError, open_storage
from sessionstore.errors import SessionHeldError
from sessionstore.storage import Creation
from sessionstore.storage.sql.connections import gateway
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import draft, key
from tests.storage.sql.operations.writes import LOCKING, WRITES, Call, assert_well, fill, rows
from tests.support.bystander import ask, dsn, set_for_everybody, until_blocked
from tests.support.discretion import refusal
from tests.support.opening import in_use, opened

_ATTEMPTS = gateway.ROLLED_BACK_ATTEMPTS


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_a_write_that_cannot_be_serialized_is_retried(url: str, postgres: Database, level: str, way: str) -> None:
    set_for_everybody(postgres, f"default_transaction_isolation = '{level}'")
    async with opened(way, url) as storage:
        for call in LOCKING.values():
            await fill(storage)
            with psycopg.connect(dsn(postgres.url)) as other:
                other.execute("UPDATE sessionstore.sessions SET version = version + 1 WHERE session_id = 'b'")
                writing = asyncio.ensure_future(call(storage))
                await until_blocked(postgres)
                other.commit()
                assert await writing
            await assert_well(storage, postgres)


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
            await fill(storage)
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
            await assert_well(storage, postgres)


async def test_the_victim_of_a_deadlock_is_retried(url: str, postgres: Database) -> None:
    set_for_everybody(postgres, "deadlock_timeout = '200ms'")
    async with open_storage(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await fill(storage)
        # On a busy machine, the call may wait for its lock_timeout before the deadlock is made. That proves nothing.
        trials = 0
        while not await _goes_on_after_a_deadlock(storage, postgres):
            trials += 1
            assert trials < _TRIALS
        await assert_well(storage, postgres)


_TRIALS = 50


async def _goes_on_after_a_deadlock(storage: SqlStorageProvider, postgres: Database) -> bool:
    """Whether a call was the victim of a deadlock. Then it has come to its end; otherwise it waited for too long."""
    before = _deadlocks(postgres)
    # Somebody who locks in another order than the library, and who is not the one to notice.
    async with await psycopg.AsyncConnection.connect(dsn(postgres.url)) as other:
        await other.execute("SET LOCAL deadlock_timeout = '1min'")
        await other.execute("SELECT FROM sessionstore.sessions WHERE session_id = 'b' FOR UPDATE")
        writing = asyncio.ensure_future(WRITES["update_locked_many"](storage))
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
        for name, call in WRITES.items():
            await fill(storage)
            before = rows(postgres)
            with _refusing_writes(postgres, code):
                error = await refusal(StorageUnavailableError, partial(call, storage))
                assert error.code == code
                assert "nothing was written; try again" in str(error)
                assert ask(postgres, "SELECT last_value FROM attempts") == [(_ATTEMPTS,)], name
                assert rows(postgres) == before
            assert await call(storage)
            await assert_well(storage, postgres)


async def test_a_write_that_is_rolled_back_often_is_retried(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        for call in WRITES.values():
            await fill(storage)
            with _refusing_writes(postgres, "40001", times=2 * _ATTEMPTS):
                assert await call(storage)
                assert ask(postgres, "SELECT last_value > %s FROM attempts", 2 * _ATTEMPTS) == [(True,)]
            await assert_well(storage, postgres)


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
        await fill(storage)
        with _refusing_writes(postgres, "40001"):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(_until_cancelled(storage), 0.05)
            assert in_use(storage) == 0
        await assert_well(storage, postgres)


async def _until_cancelled(storage: SqlStorageProvider) -> None:
    while True:
        await refusal(StorageUnavailableError, lambda: storage.delete(key("b")))


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
