from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import count

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from sessionstore import StorageProvider
from sessionstore.batching import Batching
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.conformance.model.changes import POISON
from sessionstore.testing.conformance.model.machine import STORAGES
from sessionstore.testing.conformance.model.removals import ConcurrentRemovals
from sessionstore.testing.conformance.model.under_way import UnderWay
from sessionstore.testing.postgres import Database, PostgresServer
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS
from tests.support.bystander import kill_connections
from tests.support.databases import driven

from .late_postgresql import LatePostgreSQL


@pytest.fixture(scope="module")
def refusing_database(server: PostgresServer) -> Iterator[Database]:
    """A database that refuses some states."""
    with server.fresh_database() as database:
        PostgresServer(database.migrate().url).execute(
            f"ALTER TABLE sessionstore.sessions ADD CONSTRAINT harmless CHECK (state::text NOT LIKE '%{POISON}%')"
        )
        yield database


@pytest.mark.parametrize(("driver", "rounds"), [("psycopg", OPTIMISTIC_ROUNDS), ("asyncpg", 1)])
def test_concurrent_calls_on_postgresql_have_results_of_calls_made_one_at_a_time(
    refusing_database: Database, driver: str, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.updates.rounds.OPTIMISTIC_ROUNDS", rounds)
    url = driven(refusing_database.url, driver)
    batchings = [Batching(), Batching(size=1, concurrency=2), Batching(size=3, concurrency=1), None]

    class OnPostgreSQL(ConcurrentRemovals):
        examples = count()

        def __init__(self) -> None:
            super().__init__(f"{driver}-{next(self.examples)}", runner, clock)

        def choose_storages(self, seed: int, under_way: UnderWay) -> Sequence[StorageProvider]:
            for storage in storages:
                assert isinstance(storage, LatePostgreSQL)
                storage.under_way = under_way
            first = seed % len(storages)
            return [*storages[first:], *storages[:first]][:STORAGES]

        def disturb(self, storage: StorageProvider, times: int) -> None:
            if times == 1:  # which takes a while
                kill_connections(refusing_database)

    clock = ManualClock()
    examples = settings().max_examples // 3
    program = settings(deadline=None, report_multiple_bugs=False, max_examples=examples, stateful_step_count=25)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        # Made once, because making one takes longer than an example.
        storages = [LatePostgreSQL.from_url(url, batching=batching, clock=clock, pool_size=4) for batching in batchings]
        try:
            run_state_machine_as_test(OnPostgreSQL, settings=program)
        finally:
            for storage in storages:
                runner.run(storage.close())
