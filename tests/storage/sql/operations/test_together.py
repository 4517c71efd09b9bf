"""Creations and deletions that come at once go together, and each concerns its own caller only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest

from sessionstore import (
    SessionManager,
    SessionOwnerError,
    SqlStorageProvider,
    StorageError,
    StorageUnavailableError,
    open_storage,
)
from sessionstore.storage.sql.operations import rounds
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import TTL, Chat, draft, key, new_chat
from tests.support.bystander import ask, dsn, locked, until_blocked
from tests.support.opening import all_given_back, in_use
from tests.support.wire import WireCounter

_NAMES: Final = [f"s{n:02}" for n in range(60)]


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(url, pool_size=4) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await storage.exists(key("nobody"))  # the first call looks at the tables
        yield storage


@pytest.fixture
def chats(storage: SqlStorageProvider) -> SessionManager[Chat]:
    return SessionManager(new_chat, storage, "chat", ttl=TTL)


def _here(postgres: Database) -> list[str]:
    return sorted(name for (name,) in ask(postgres, "SELECT session_id FROM sessionstore.sessions"))


async def test_creations_at_once_take_few_statements_and_each_gets_its_own(url: str, patient: None) -> None:
    async with WireCounter(url) as wire, open_storage(wire.url) as storage:
        chats = SessionManager(new_chat, storage, "chat", ttl=TTL)
        await chats.get_session("nobody")
        with wire.counting() as seen:
            results = await asyncio.gather(*(chats.create_session(name, owner_id=name) for name in _NAMES * 2))
        assert len(seen.statements) <= 6
        assert [result.created for result in results] == [True] * 60 + [False] * 60
        assert [result.unwrap()["id"] for result in results] == _NAMES * 2
        assert [result.metadata and result.metadata.owner_id for result in results] == _NAMES * 2


async def test_concurrent_deletions_take_few_statements_and_each_gets_its_own_result(url: str, patient: None) -> None:
    async with WireCounter(url) as wire, open_storage(wire.url) as storage:
        chats = SessionManager(new_chat, storage, "chat", ttl=TTL)
        await asyncio.gather(*(chats.create_session(name) for name in _NAMES))
        with wire.counting() as seen:
            results = await asyncio.gather(*(chats.delete_session(name) for name in [*_NAMES, "nobody", *_NAMES]))
        assert len(seen.statements) <= 6
        assert [result.data for result in results] == [True] * 60 + [False] * 61


async def test_a_state_of_four_million_characters_is_created_by_a_statement_of_its_own(
    url: str, postgres: Database, patient: None
) -> None:
    async with WireCounter(url) as wire, open_storage(wire.url) as storage:
        await storage.exists(key("nobody"))
        state = '{"text": "' + "x" * 3_000_000 + '"}'
        with wire.counting() as seen:
            await asyncio.gather(*(storage.create(draft(name, state)) for name in _NAMES[:4]))
        assert len(seen.statements) == 4
    assert _here(postgres) == _NAMES[:4]


async def test_a_creation_that_the_database_refuses_fails_only_its_caller(
    chats: SessionManager[Chat], postgres: Database
) -> None:
    ask(postgres, "ALTER TABLE sessionstore.sessions ADD CONSTRAINT own CHECK (owner_id <> 'nobody')")
    owners = ["nobody" if n % 7 == 0 else "me" for n in range(60)]
    calls = [chats.create_session(name, owner_id=owner) for name, owner in zip(_NAMES, owners, strict=True)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert [(type(error), getattr(error, "code", None)) for error in refused] == [(StorageError, "23514")] * 9
    assert all(result.created for result in results if not isinstance(result, BaseException))
    assert _here(postgres) == [name for name, owner in zip(_NAMES, owners, strict=True) if owner == "me"]


async def test_a_creation_that_waits_for_another_transaction_delays_no_other_call(
    chats: SessionManager[Chat], storage: SqlStorageProvider, postgres: Database
) -> None:
    with psycopg.connect(dsn(postgres.url)) as other:
        other.execute(
            "INSERT INTO sessionstore.sessions (namespace, session_id, state, version, created_at, updated_at, "
            "last_accessed_at) VALUES ('chat', 's30', '{}', 1, now(), now(), now())"
        )
        calls = {name: asyncio.ensure_future(chats.create_session(name)) for name in _NAMES}
        results = await asyncio.gather(*(call for name, call in calls.items() if name != "s30"))
        assert all(result.created for result in results)
        await until_blocked(postgres)
        assert not calls["s30"].done()
        assert (await chats.create_session("beside")).created
        other.rollback()
    assert (await calls["s30"]).created
    assert in_use(storage) == 0


async def test_many_drafts_of_one_call_wait_for_another_transaction(
    storage: SqlStorageProvider, postgres: Database
) -> None:
    with psycopg.connect(dsn(postgres.url)) as other:
        other.execute(
            "INSERT INTO sessionstore.sessions (namespace, session_id, state, version, created_at, updated_at, "
            "last_accessed_at) VALUES ('chat', 's01', '{\"n\": 7}', 1, now(), now(), now())"
        )
        call = asyncio.ensure_future(storage.create_many([draft(name) for name in _NAMES[:3]]))
        await until_blocked(postgres)
        other.commit()
    assert [creation.created for creation in await call] == [True, False, True]


async def test_a_held_expired_row_delays_no_other_call(
    chats: SessionManager[Chat], storage: SqlStorageProvider, postgres: Database
) -> None:
    await storage.create_many([draft(name) for name in _NAMES])
    ask(postgres, "UPDATE sessionstore.sessions SET expires_at = now() - interval '1 min'")
    with locked(postgres, "s30"):
        calls = {name: asyncio.ensure_future(chats.create_session(name)) for name in _NAMES}
        results = await asyncio.gather(*(call for name, call in calls.items() if name != "s30"))
        assert all(result.created for result in results)
        assert not calls["s30"].done()
    assert (await calls["s30"]).created


async def test_a_held_session_is_deleted_when_it_is_free_and_delays_no_other_call(
    chats: SessionManager[Chat], storage: SqlStorageProvider, postgres: Database
) -> None:
    await storage.create_many([draft(name) for name in _NAMES])
    with locked(postgres, "s30"):
        calls = {name: asyncio.ensure_future(chats.delete_session(name)) for name in _NAMES}
        results = await asyncio.gather(*(call for name, call in calls.items() if name != "s30"))
        assert [result.data for result in results] == [True] * 59
        assert not calls["s30"].done()
    assert (await calls["s30"]).data is True
    assert _here(postgres) == []


@pytest.mark.parametrize("method", ["create_session", "delete_session"])
async def test_a_call_for_a_held_row_that_is_out_of_time_says_that_nothing_was_written(
    chats: SessionManager[Chat], storage: SqlStorageProvider, postgres: Database, method: str
) -> None:
    await storage.create_many([draft(name) for name in _NAMES[:3]])
    if method == "create_session":
        ask(postgres, "UPDATE sessionstore.sessions SET expires_at = now() - interval '1 min'")
    with locked(postgres, "s01"):
        # Long enough for the first statement, which tells that the row is held, on a busy machine too.
        timeouts = [None, timedelta(seconds=4), None]
        pairs = zip(_NAMES, timeouts, strict=False)
        calls: Any = [getattr(chats, method)(name, timeout=timeout) for name, timeout in pairs]
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results if isinstance(result, BaseException)] == [StorageUnavailableError]
    assert "nothing was written" in str(results[1])
    await all_given_back(storage)  # a look may be under way, and is cancelled


@pytest.mark.parametrize("method", ["create_session", "delete_session", "set"])
async def test_a_call_that_waits_for_a_held_row_sends_no_write_until_the_row_is_free(
    url: str, postgres: Database, method: str
) -> None:
    """So a caller whose time is over during the wait is told that nothing was written."""
    verb = "DELETE FROM" if method == "delete_session" else "INSERT INTO"
    async with WireCounter(url) as wire, open_storage(wire.url) as storage:
        chats = SessionManager(new_chat, storage, "chat", ttl=TTL)
        await storage.create(draft("s01"))
        if method == "create_session":
            ask(postgres, "UPDATE sessionstore.sessions SET expires_at = now() - interval '1 min'")
        with wire.counting() as seen:
            with locked(postgres, "s01"):
                written = storage.set(draft("s01")) if method == "set" else getattr(chats, method)("s01")
                call = asyncio.ensure_future(written)
                while len(seen.statements) < 12:  # noqa: ASYNC110  # there is no event to wait for
                    await asyncio.sleep(0.01)
                assert sum(verb in statement for statement in seen.statements) == 1
            await call


async def test_a_swallowed_deletion_is_an_error_for_its_caller_only(
    chats: SessionManager[Chat], storage: SqlStorageProvider, postgres: Database
) -> None:
    await storage.create_many([draft(name) for name in _NAMES])
    ask(
        postgres,
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF old.session_id = 's30' THEN RETURN NULL; END IF; RETURN old; END $$",
    )
    ask(postgres, "CREATE TRIGGER keep BEFORE DELETE ON sessionstore.sessions FOR EACH ROW EXECUTE FUNCTION keep()")
    results = await asyncio.gather(*(chats.delete_session(name) for name in _NAMES), return_exceptions=True)
    errors = {name: it for name, it in zip(_NAMES, results, strict=True) if isinstance(it, BaseException)}
    assert {name: type(error) for name, error in errors.items()} == {"s30": StorageError}
    assert all(not isinstance(it, BaseException) and it.data is True for it in results if it is not errors["s30"])
    assert _here(postgres) == ["s30"]


async def test_one_of_several_creators_of_one_id_creates_and_other_owners_are_refused(
    chats: SessionManager[Chat], postgres: Database
) -> None:
    owners = ["ann", "ann", "bob", "ann", None]
    results = await asyncio.gather(*(chats.create_session("s", owner_id=owner) for owner in owners))
    assert [result.created for result in results] == [True, False, False, False, False]
    assert [type(result.error) for result in results if not result.success] == [SessionOwnerError]
    assert results[4].metadata is not None
    assert results[4].metadata.owner_id == "ann"
    assert _here(postgres) == ["s"]


async def test_a_creation_that_is_cancelled_while_it_waits_for_a_held_row_is_not_done(
    chats: SessionManager[Chat],
    storage: SqlStorageProvider,
    postgres: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "_LONGEST_PAUSE", 0.01)
    await storage.create_many([draft(name) for name in _NAMES[:3]])
    ask(postgres, "UPDATE sessionstore.sessions SET expires_at = now() - interval '1 min'")
    with locked(postgres, "s00", "s01"):
        calls = [asyncio.ensure_future(chats.create_session(name)) for name in _NAMES[:3]]
        assert (await calls[2]).created
        calls[0].cancel()
        await asyncio.wait([calls[0]])
    assert (await calls[1]).created
    assert calls[0].cancelled()
    live = ask(postgres, "SELECT session_id FROM sessionstore.sessions WHERE expires_at > now() ORDER BY 1")
    assert live == [("s01",), ("s02",)]
