"""Statements that were prepared on a connection and that the server does not take any more."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SessionManager, SqlStorageProvider, StorageError, StorageProvider, open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import increment, key, new_chat, rewrite
from tests.support.bystander import ask
from tests.support.databases import driven
from tests.support.opening import in_use
from tests.support.wire import WireCounter

Call: TypeAlias = Callable[[StorageProvider], Awaitable[object]]

_PREPARED_AFTER = 8
"""So often psycopg runs a statement until it prepares it, and more."""


async def _update(storage: StorageProvider) -> None:
    chats = SessionManager(new_chat, storage, namespace="chat")
    before = (await chats.get_session("s")).unwrap()["n"]
    assert (await chats.update_session("s", increment)).unwrap()["n"] == before + 1
    assert (await chats.get_session("s")).unwrap()["n"] == before + 1


async def _update_locked(storage: StorageProvider) -> None:
    assert await storage.update_locked(key("s"), rewrite) is not None


async def _get(storage: StorageProvider) -> None:
    assert await storage.get(key("s")) is not None


_CALLS: dict[str, Call] = {"get": _get, "update": _update, "update_locked": _update_locked}


def _change_a_column(postgres: Database, _: SqlStorageProvider) -> None:
    ((was,),) = ask(
        postgres,
        "SELECT data_type FROM information_schema.columns "
        "WHERE table_schema = 'sessionstore' AND table_name = 'sessions' AND column_name = 'owner_id'",
    )
    other = "text" if was != "text" else "varchar(255)"
    ask(postgres, f"ALTER TABLE sessionstore.sessions ALTER owner_id TYPE {other}")


@pytest.mark.parametrize("call", _CALLS.values(), ids=_CALLS)
async def test_a_column_that_was_changed_costs_no_call(url: str, postgres: Database, call: Call) -> None:
    async with open_storage(url, batching=None) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await SessionManager(new_chat, storage, namespace="chat").create_session("s")
        for _ in range(3):
            for _ in range(_PREPARED_AFTER):
                await call(storage)
            _change_a_column(postgres, storage)
        await call(storage)
        assert in_use(storage) == 0


def _forget_all(storage: SqlStorageProvider) -> None:
    """What a pooler does between clients, and a switch of it: the driver does not hear of it."""
    for lease in storage._gateway.channel.connections._idle:
        pgconn: Any = lease.driver.pgconn
        pgconn.exec_(b"DISCARD ALL")


@pytest.mark.parametrize("call", _CALLS.values(), ids=_CALLS)
async def test_prepared_statements_that_are_gone_cost_no_call(
    postgres: Database, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_storage(postgres.url, batching=None) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await SessionManager(new_chat, storage, namespace="chat").create_session("s")
        with caplog.at_level(logging.WARNING, logger="sessionstore"):
            for _ in range(3):
                for _ in range(_PREPARED_AFTER):
                    await call(storage)
                _forget_all(storage)
            await call(storage)
        told = [record for record in caplog.records if "prepared_statements=false" in record.getMessage()]
        assert len(told) == 1
        assert in_use(storage) == 0


async def test_prepared_statements_that_are_gone_cost_asyncpg_no_call(postgres: Database) -> None:
    async with open_storage(driven(postgres.url, "asyncpg"), batching=None) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await SessionManager(new_chat, storage, namespace="chat").create_session("s")
        for call in _CALLS.values():
            await call(storage)
            for lease in storage._gateway.channel.connections._idle:
                connection: Any = lease.driver
                await connection.execute("DISCARD ALL")
            await call(storage)


async def test_a_refusal_that_stays_is_raised_after_one_more_attempt(url: str, postgres: Database) -> None:
    raising = "BEGIN RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE = 'cache lookup failed'; END"
    ask(postgres, f"CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ {raising} $$")
    async with WireCounter(url) as wire, open_storage(wire.url, batching=None) as storage:
        await SessionManager(new_chat, storage, namespace="chat").create_session("s")
        document = await storage.get(key("s"), touch=False)
        assert document is not None
        ask(
            postgres,
            "CREATE TRIGGER fail BEFORE UPDATE ON sessionstore.sessions FOR EACH ROW EXECUTE FUNCTION public.fail()",
        )
        write = rewrite(document)
        with wire.counting() as seen, pytest.raises(Exception, match="XX000"):
            await storage.update(write)
        assert len([text for text in seen.statements if "UPDATE" in text]) == 2


async def test_the_error_of_a_name_taken_while_the_engine_connects_has_its_code_and_the_remedy(
    postgres: Database,
) -> None:
    taken = {"prepared_statement_name_func": lambda: "taken"}
    engine = create_async_engine(postgres.asyncpg_url, connect_args=taken)

    @event.listens_for(engine.sync_engine, "connect", insert=True)
    def take(connection: Any, _: object) -> None:
        connection.run_async(lambda driver: driver.execute("PREPARE taken AS SELECT 1"))

    with pytest.raises(StorageError, match="add prepared_statements=false to the URL") as told:
        await SqlStorageProvider(engine).exists(key("s"))
    assert told.value.code == "42P05"
    await engine.dispose()
