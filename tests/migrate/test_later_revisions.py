"""Code that meets a revision that came after it, as the pods of a rolling deploy do that were not replaced yet."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest

from sessionstore import SchemaError, SessionManager, migrate, open_storage
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import increment, new_chat

from ..cli.conftest import call
from ..support.bystander import ask, until_blocked
from ..support.databases import driven

Moved: TypeAlias = Callable[[str], str]

LATER = "9999"
"""A revision that only adds, and that this version does not know."""


@pytest.fixture(params=["psycopg", "asyncpg", "aiosqlite"])
def moved(request: pytest.FixtureRequest, tmp_path: Path) -> Moved:
    """Writes a later revision beside the tables; returns the URL."""

    def move(revision: str) -> str:
        if request.param == "aiosqlite":
            path = copied_file(request.getfixturevalue("sqlite_template"), tmp_path / "sessions.db")
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("ALTER TABLE sessions ADD COLUMN later INTEGER NOT NULL DEFAULT 0")
                connection.execute("UPDATE sessionstore_version SET version_num = ?", [revision])
            return sqlite_url(path)
        database: Database = request.getfixturevalue("postgres")
        ask(database, "ALTER TABLE sessionstore.sessions ADD COLUMN later integer NOT NULL DEFAULT 0")
        ask(database, "UPDATE sessionstore.sessionstore_version SET version_num = %s", revision)
        return driven(database.url, str(request.param))

    return move


@pytest.mark.parametrize("revision", [LATER, f"9999_needs_{REVISIONS[-1]}"])
async def test_code_works_with_a_later_revision_that_keeps_everything_it_needs(moved: Moved, revision: str) -> None:
    async with open_storage(moved(revision)) as storage:
        chats = SessionManager(new_chat, storage)
        await chats.create_session("s")
        assert (await chats.update_session("s", increment)).unwrap()["n"] == 1
        assert (await chats.get_session("s")).unwrap()["n"] == 1
        assert (await chats.delete_session("s")).unwrap() is True


async def test_code_refuses_a_later_revision_that_removed_something_it_needs(moved: Moved) -> None:
    async with open_storage(moved("9999_needs_9998")) as storage:
        with pytest.raises(SchemaError, match="upgrade sessionstore") as raised:
            await SessionManager(new_chat, storage).get_session("s")
    assert (raised.value.found, raised.value.wanted) == ("9999_needs_9998", REVISIONS[-1])


def test_an_upgrade_leaves_a_later_revision_as_it_is_and_succeeds(
    moved: Moved, caplog: pytest.LogCaptureFixture
) -> None:
    url = moved(LATER)
    with caplog.at_level(logging.INFO, "sessionstore.migrate"):
        migrate.upgrade(url)
    (record,) = [record for record in caplog.records if record.name == "sessionstore.migrate"]
    assert "newer revision" in record.getMessage()
    assert vars(record)["revision"] == LATER
    assert migrate.current(url) == LATER
    outcome = call("migrate", "upgrade", "--database-url", url)
    assert (outcome.exit_code, outcome.stderr) == (0, f"the database is at revision {LATER}\n")


def test_a_later_revision_passes_the_check_of_code_that_works_with_it(moved: Moved) -> None:
    migrate.check(moved(LATER))


def test_code_does_not_take_back_a_revision_that_it_does_not_know(moved: Moved) -> None:
    url = moved(LATER)
    for revision in (REVISIONS[0], REVISIONS[-1], "base"):
        with pytest.raises(SchemaError, match="does not know") as raised:
            migrate.downgrade(url, revision=revision)
        assert raised.value.found == LATER
    assert migrate.current(url) == LATER


async def test_an_upgrade_that_waited_for_one_of_newer_code_succeeds(bare_database: Database) -> None:
    migrate.upgrade(bare_database.url, revision=REVISIONS[0])
    with ThreadPoolExecutor() as pool:
        with migrate.migrating(migrate.Target.of(bare_database.url, None)) as connection:
            upgrade = pool.submit(migrate.upgrade, bare_database.url)
            await until_blocked(bare_database)
            with connection.begin():
                connection.exec_driver_sql(f"UPDATE sessionstore.sessionstore_version SET version_num = '{LATER}'")
        upgrade.result(timeout=30)
    assert migrate.current(bare_database.url) == LATER
