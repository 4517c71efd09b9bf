"""`storage.check()` names what is missing, and looks without changing anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sessionstore import SchemaError, StorageError, StorageUnavailableError, migrate, open_storage
from sessionstore.storage import Use
from sessionstore.storage.sql.privileges import MISSING_GRANT, NEEDS, Need
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database, PostgresServer, placeless
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import draft
from tests.support.bystander import ask, set_for_everybody
from tests.support.databases import driven
from tests.support.roles import Deployment, deployment

from .test_privileges import grant_of, revoked

_TABLES = [
    pytest.param("DROP TABLE sessionstore.deletions", "the table 'deletions' is missing", id="table"),
    pytest.param(
        "ALTER TABLE sessionstore.items DROP COLUMN item_id", "the column 'item_id' of 'items' is missing", id="column"
    ),
    pytest.param(
        "DROP INDEX sessionstore.ix_sessions_expires_at", "the index 'ix_sessions_expires_at' of 'sessions'", id="index"
    ),
    pytest.param(
        "DROP TRIGGER sessions_delete_items ON sessionstore.sessions",
        "the trigger 'sessions_delete_items'",
        id="trigger",
    ),
    pytest.param(
        "ALTER TABLE sessionstore.sessions DISABLE TRIGGER ALL", "the trigger 'sessions_delete_items'", id="disabled"
    ),
    pytest.param("DROP TABLE sessionstore.sessions", "its table 'sessions' is gone", id="sessions"),
    pytest.param("DROP SCHEMA sessionstore CASCADE", "has no sessionstore tables; run `sessionstore migrate", id="all"),
    pytest.param("CREATE RULE r AS ON DELETE TO sessionstore.items DO NOTHING", "'items' in .* has rules", id="rule"),
]


@pytest.fixture(scope="module")
def deployed(server: PostgresServer) -> Iterator[Deployment]:
    with deployment(server, schema="Our chats") as made:
        yield made


@pytest.mark.parametrize(
    ("use", "need"),
    [pytest.param(use, need, id=f"{use}-{need.privilege}-{need.table}") for use in NEEDS for need in NEEDS[use]],
)
async def test_a_missing_privilege_is_named_for_each_use(
    deployed: Deployment, driver: str, use: Use, need: Need
) -> None:
    async with open_storage(deployed.url(use, driver), schema=deployed.schema) as storage:
        await storage.check(use=use)
        with revoked(deployed, use, need):
            with pytest.raises(StorageError) as raised:
                await storage.check(use=use)
            assert (raised.value.code, grant_of(deployed, use, need) in str(raised.value)) == (MISSING_GRANT, True)
        await storage.check(use=use)


async def test_a_role_for_one_use_is_not_taken_for_another(deployed: Deployment, driver: str) -> None:
    for use in ("reaper", "readonly"):
        async with open_storage(deployed.url(use, driver), schema=deployed.schema) as storage:
            with pytest.raises(StorageError, match=r"`GRANT .*INSERT.* ON TABLE "):
                await storage.check()


@pytest.mark.parametrize(("statement", "named"), _TABLES)
async def test_the_check_names_a_change_by_another_program(
    postgres: Database, driver: str, statement: str, named: str
) -> None:
    async with open_storage(driven(postgres.url, driver)) as storage:
        await storage.check()
        ask(postgres, statement)
        with pytest.raises(SchemaError, match=named):
            await storage.check()
    async with open_storage(driven(postgres.url, driver)) as storage:
        with pytest.raises(SchemaError, match=named):
            await storage.check()


async def test_a_pending_revision_is_named_with_the_command(postgres: Database, driver: str) -> None:
    migrate.downgrade(postgres.url, revision=REVISIONS[0])
    async with open_storage(driven(postgres.url, driver)) as storage:
        with pytest.raises(SchemaError, match="run `sessionstore migrate upgrade`") as raised:
            await storage.check()
        assert (raised.value.found, raised.value.wanted) == (REVISIONS[0], REVISIONS[-1])
        migrate.upgrade(postgres.url)
        await storage.check()


async def test_a_server_that_takes_no_writes_is_ready_for_reading_only(postgres: Database, driver: str) -> None:
    set_for_everybody(postgres, "default_transaction_read_only = on")
    async with open_storage(driven(postgres.url, driver)) as storage:
        await storage.check(use="readonly")
        for use in ("service", "reaper"):
            with pytest.raises(StorageUnavailableError, match="only reads"):
                await storage.check(use=use)


async def test_a_server_that_is_away_is_unavailable(driver: str) -> None:
    url = placeless(f"postgresql+{driver}:///app").set(host="127.0.0.1", port=1).render_as_string()
    async with open_storage(url) as storage:
        with pytest.raises(StorageUnavailableError):
            await storage.check()


@pytest.fixture
def file(sqlite_template: Path, tmp_path: Path) -> Path:
    return copied_file(sqlite_template, tmp_path / "sessions.db")


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DROP TRIGGER sessions_reset_items", "the trigger 'sessions_reset_items'"),
        ("DROP INDEX uq_items_namespace_item_id", "the index 'uq_items_namespace_item_id' of 'items'"),
        ("DROP TABLE items", "its table 'items' is gone"),
        ("DELETE FROM sessionstore_version", "has no sessionstore tables"),
    ],
)
async def test_the_check_names_a_change_of_a_file_by_another_program(file: Path, statement: str, named: str) -> None:
    async with open_storage(sqlite_url(file)) as storage:
        await storage.check()
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(statement)
        with pytest.raises(SchemaError, match=named):
            await storage.check()


async def test_a_file_that_may_not_be_written_is_ready_for_reading_only(file: Path) -> None:
    async with open_storage(sqlite_url(file)) as storage:
        await storage.create(draft())
    async with open_storage(f"sqlite+aiosqlite:///file:{file}?mode=ro&uri=true") as storage:
        await storage.check(use="readonly")
        with pytest.raises(StorageError, match="to be read only"):
            await storage.check()
