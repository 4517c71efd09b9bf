from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import count

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from sessionstore import SqlStorageProvider, StorageProvider
from sessionstore.combine import Batching
from sessionstore.update import OPTIMISTIC_ROUNDS
from tests.sql.bystander import kill_connections
from tests.sql.conftest import driven
from tests.support.postgres import Database, PostgresServer

from .machine import STORAGES, ConcurrentCalls
from .shared_memory import POISON


@pytest.fixture(scope="module")
def refusing_database(server: PostgresServer) -> Iterator[Database]:
    """A database that refuses some states."""
    with server.fresh_database() as database:
        PostgresServer(database.migrate().url).execute(
            f"ALTER TABLE sessionstore.sessions ADD CONSTRAINT harmless CHECK (state::text NOT LIKE '%{POISON}%')"
        )
        yield database


@pytest.mark.parametrize(("driver", "rounds"), [("psycopg", OPTIMISTIC_ROUNDS), ("asyncpg", 1)])
def test_concurrent_calls_on_postgresql_come_to_what_one_at_a_time_would_have(
    refusing_database: Database, driver: str, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.update.OPTIMISTIC_ROUNDS", rounds)
    url = driven(refusing_database.url, driver)

    async def open_storages(seed: int) -> Sequence[StorageProvider]:
        batchings = [Batching(size=1 + seed % 5, places=1 + seed % 3), None if seed % 7 == 0 else Batching()]
        return [SqlStorageProvider.from_url(url, batching=batchings[n % 2], pool_size=4) for n in range(STORAGES)]

    class OnPostgreSQL(ConcurrentCalls):
        examples = count()

        def __init__(self) -> None:
            super().__init__(f"{driver}-{next(self.examples)}", asyncio.SelectorEventLoop, open_storages)

        def disturb(self, storage: StorageProvider, times: int) -> None:
            if times == 1:  # which takes a while
                kill_connections(refusing_database)

    examples = settings().max_examples // 4
    program = settings(deadline=None, report_multiple_bugs=False, max_examples=examples, stateful_step_count=25)
    run_state_machine_as_test(OnPostgreSQL, settings=program)
