"""Rows with times that Python does not have: each change lands once, and says so."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionManager, StorageProvider, migrate, open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import sqlite_url
from tests.support.bystander import ask
from tests.support.databases import driven

Alter = Callable[[str, str], None]
"""Sets a column of a table to a time after the last one of Python."""


@pytest.fixture(params=["psycopg", "asyncpg", "sqlite"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Database
) -> AsyncIterator[tuple[StorageProvider, Alter]]:
    file = tmp_path / "sessions.db"

    def in_postgres(table: str, column: str) -> None:
        ask(postgres, f"UPDATE sessionstore.{table} SET {column} = '20000-01-01 00:00:00+00'")

    def in_file(table: str, column: str) -> None:
        with sqlite3.connect(file) as connection:
            connection.execute(f"UPDATE {table} SET {column} = 568971820800000000")
        connection.close()

    if request.param == "sqlite":
        migrate.upgrade(sqlite_url(file))
        async with open_storage(sqlite_url(file)) as storage:
            yield storage, in_file
    else:
        async with open_storage(driven(postgres.url, request.param)) as storage:
            yield storage, in_postgres


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("sessions", name) for name in ("created_at", "updated_at", "last_accessed_at", "expires_at", "deadline")),
        ("items", "created_at"),
    ],
)
async def test_changes_of_a_row_with_a_time_that_python_does_not_have_land_once(
    place: tuple[StorageProvider, Alter], table: str, column: str
) -> None:
    storage, alter = place
    kind: SessionManager[Any] = SessionManager(lambda _: {"n": 0}, storage, "far")

    async def items() -> list[Any]:
        return [item.data for item in (await kind.get_items("s")).items]

    (await kind.create_session("s")).unwrap()
    if table == "sessions":
        alter(table, column)
    assert (await kind.append_items("s", ["a", "b", "c"])).last_position == 3
    alter(table, column)
    assert (await kind.append_items("s", ["d"])).last_position == 4
    alter(table, column)
    assert (await kind.append_items("s", ["e"], create=True)).last_position == 5
    alter(table, column)
    assert (await kind.update_session("s", lambda state: {"n": state["n"] + 1}, append=["f"])).unwrap() == {"n": 1}
    alter(table, column)
    assert (await kind.update_session("s", lambda state: {"n": state["n"] + 1})).version is not None
    alter(table, column)
    assert [item.data for item in (await kind.pop_items("s")).items] == ["f"]
    alter(table, column)
    assert (await kind.trim_items("s", 4)).data == 1
    alter(table, column)
    assert (await kind.replace_items("s", ["g"], after=4)).success
    assert await items() == ["b", "c", "d", "g"]
    alter(table, column)
    assert (await kind.fork_session("s", "copy")).success
    assert (await kind.get_session("copy")).unwrap() == {"n": 2}
    assert (await kind.delete_session("s")).data
