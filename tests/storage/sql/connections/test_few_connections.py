"""A role, a database or a server that gives fewer connections than the pool wants."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sessionstore import SessionManager, SqlStorageProvider, StorageUnavailableError, open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import increment, new_chat
from tests.support.bystander import ask, role
from tests.support.databases import driven
from tests.support.discretion import refusal
from tests.support.opening import in_use

_ALL = "GRANT USAGE ON SCHEMA sessionstore TO {role}"
_TABLES = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessionstore TO {role}"


@pytest.mark.parametrize("batched", [False, True], ids=["each by itself", "together"])
async def test_calls_wait_for_the_connections_that_there_are(
    postgres: Database, driver: str, batched: bool, caplog: pytest.LogCaptureFixture
) -> None:
    options = {} if batched else {"batching": None}
    with role(postgres, _ALL, _TABLES, "ALTER ROLE {role} CONNECTION LIMIT 3") as url:
        async with open_storage(driven(url, driver), **options) as storage:
            assert isinstance(storage, SqlStorageProvider)
            chats = SessionManager(new_chat, storage)
            with caplog.at_level(logging.WARNING, logger="sessionstore"):
                ids = [f"s{n}" for n in range(60)]
                created = await asyncio.gather(*map(chats.create_session, ids))
                assert all(result.created for result in created)
                calls = [chats.update_session(each, increment) for each in ids for _ in range(4)]
                calls += [chats.get_session(each) for each in ids for _ in range(4)]
                assert all(result.success for result in await asyncio.gather(*calls))
            assert in_use(storage) == 0
            assert len(storage._gateway.channel.connections._idle) <= 3
        told = [record for record in caplog.records if "gives no more connections" in record.getMessage()]
        if not batched:
            assert len(told) == 1


async def test_a_database_that_gives_few_connections_is_waited_for_too(postgres: Database, driver: str) -> None:
    ((name,),) = ask(postgres, "SELECT current_database()")
    ask(postgres, f'ALTER DATABASE "{name}" CONNECTION LIMIT 2')
    with role(postgres, _ALL, _TABLES) as url:
        async with open_storage(driven(url, driver), batching=None) as storage:
            chats = SessionManager(new_chat, storage)
            created = await asyncio.gather(*(chats.create_session(f"s{n}") for n in range(40)))
            assert all(result.created for result in created)


async def test_a_call_that_gets_no_connection_in_its_time_gets_an_error_that_says_so(
    postgres: Database, driver: str
) -> None:
    with role(postgres, _ALL, _TABLES, "ALTER ROLE {role} CONNECTION LIMIT 1") as url:
        async with open_storage(driven(url, driver), batching=None, pool_timeout=0.3) as storage:
            assert isinstance(storage, SqlStorageProvider)
            chats = SessionManager(new_chat, storage)
            await chats.create_session("s")
            connections = storage._gateway.channel.connections
            lease = await connections.take()
            await refusal(StorageUnavailableError, lambda: chats.get_session("s"))
            # Whoever waits when it is given back gets it.
            waiting = asyncio.create_task(chats.get_session("s"))
            await asyncio.sleep(0)
            await connections.give_back(lease)
            assert (await waiting).success
            assert in_use(storage) == 0


async def test_a_call_that_is_cancelled_while_it_waits_keeps_no_connection(postgres: Database, driver: str) -> None:
    with role(postgres, _ALL, _TABLES, "ALTER ROLE {role} CONNECTION LIMIT 1") as url:
        async with open_storage(driven(url, driver), batching=None) as storage:
            assert isinstance(storage, SqlStorageProvider)
            chats = SessionManager(new_chat, storage)
            await chats.create_session("s")
            connections = storage._gateway.channel.connections
            lease = await connections.take()
            waiting = [asyncio.create_task(chats.get_session("s")) for _ in range(4)]
            while len(connections._scarce._waiting) < 4:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)
            waiting[0].cancel()
            await connections.give_back(lease)
            waiting[1].cancel()
            ends = await asyncio.gather(*waiting, return_exceptions=True)
            assert [isinstance(end, asyncio.CancelledError) for end in ends] == [True, True, False, False]
            assert in_use(storage) == 0
