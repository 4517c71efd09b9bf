"""Migrations beside programs that go on: no call fails and no update is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import psycopg

from sessionstore import migrate, open_storage
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database, dsn

from ..support.bystander import ask
from ..support.databases import driven
from .beside import Programs, make_sessions, of_sql, of_the_library, states_of
from .later import WITH_COLUMNS, WITH_INDEX

_WRITERS = 16


async def _up_and_down(url: str, programs: Programs, revisions: Sequence[str]) -> None:
    for start, end in [*pairwise(revisions), *pairwise(reversed(revisions))]:
        await programs.more()
        await asyncio.to_thread(migrate.upgrade if end > start else migrate.downgrade, url, revision=end)
    await programs.more()


async def test_a_program_goes_on_while_the_tables_get_items_and_lose_them(bare_database: Database) -> None:
    url = bare_database.url
    migrate.upgrade(url, revision=REVISIONS[0])
    make_sessions(bare_database)
    programs = Programs()
    async with AsyncExitStack() as stack:
        turns = [
            of_sql(await stack.enter_async_context(await psycopg.AsyncConnection.connect(dsn(url), autocommit=True)))
            for _ in range(_WRITERS)
        ]
        async with programs.running(turns):
            for _ in range(2):
                await _up_and_down(url, programs, REVISIONS)
    assert programs.errors == []
    assert states_of(bare_database) == programs.written


async def test_the_library_goes_on_with_states_while_its_tables_get_items_and_lose_them(
    bare_database: Database, driver: str
) -> None:
    migrate.upgrade(bare_database.url, revision=REVISIONS[0])
    make_sessions(bare_database)
    programs = Programs()
    async with (
        open_storage(driven(bare_database.url, driver)) as storage,
        programs.running([of_the_library(storage, items=False)] * _WRITERS),
    ):
        for _ in range(2):
            await _up_and_down(bare_database.url, programs, REVISIONS)
    assert programs.errors == []
    assert states_of(bare_database) == programs.written


async def test_the_library_goes_on_while_its_tables_get_an_index_and_columns_and_lose_them(
    postgres: Database, url: str, later: Path
) -> None:
    make_sessions(postgres)
    programs = Programs()
    async with open_storage(url) as storage, programs.running([of_the_library(storage, items=True)] * _WRITERS):
        await _up_and_down(postgres.url, programs, [REVISIONS[-1], WITH_INDEX, WITH_COLUMNS])
    assert programs.errors == []
    assert states_of(postgres) == programs.written
    assert ask(postgres, "SELECT session_id, count(*) FROM sessionstore.items GROUP BY 1 ORDER BY 1") == sorted(
        programs.written.items()
    )
