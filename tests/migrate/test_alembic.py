"""Alembic's own command at the root of the project, as a process."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sessionstore import SchemaError, migrate
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url

from ..support.bystander import ask
from ..support.processes import Ended, python
from .catalogue import postgresql_catalogue, sqlite_catalogue


async def _alembic(url: str, *arguments: str, **environment: str) -> Ended:
    return await python("-m", "alembic", *arguments, SESSIONSTORE_DATABASE_URL=url, **environment)


@pytest.mark.parametrize("database_kind", ["postgresql", "postgresql-asyncpg", "sqlite"])
async def test_the_tables_are_made_taken_back_and_made_again(
    bare_database: Database, sqlite_template: Path, tmp_path: Path, database_kind: str
) -> None:
    path = tmp_path / "new.db"
    urls = {
        "postgresql": bare_database.url,
        "postgresql-asyncpg": bare_database.asyncpg_url,
        "sqlite": sqlite_url(path),
    }
    url = urls[database_kind]

    def made() -> list[object]:
        return [*sqlite_catalogue(path)] if database_kind == "sqlite" else [*postgresql_catalogue(bare_database)]

    assert (await _alembic(url, "upgrade", "head")).status == 0
    migrate.check(url)
    upgraded = made()
    assert REVISIONS[-1] in (await _alembic(url, "current")).output
    assert (await _alembic(url, "downgrade", "base")).status == 0
    assert migrate.current(url) is None
    assert (await _alembic(url, "upgrade", "head")).status == 0
    assert made() == upgraded


async def test_alembic_migrates_the_schema_of_the_environment(bare_database: Database) -> None:
    ended = await _alembic(bare_database.url, "upgrade", "head", SESSIONSTORE_SCHEMA="my chats")
    assert ended.status == 0
    migrate.check(bare_database.url, schema="my chats")
    assert ask(bare_database, "SELECT to_regnamespace('sessionstore')") == [(None,)]


async def test_a_check_passes_right_after_a_migration(postgres: Database, sqlite_template: Path) -> None:
    ask(postgres, "CREATE TABLE alembic_version (version_num text)")
    ask(postgres, "CREATE TABLE sessionstore.of_the_service (id int PRIMARY KEY)")
    for url in (postgres.url, sqlite_url(sqlite_template)):
        ended = await _alembic(url, "check")
        assert ended.status == 0, ended.output
        assert "No new upgrade operations detected" in ended.output


_DRIFTS = {
    "column": "ALTER TABLE sessionstore.sessions ADD COLUMN mood text",
    "type": "ALTER TABLE sessionstore.sessions ALTER COLUMN origin TYPE json",
    "missing-index": "DROP INDEX sessionstore.ix_sessions_expires_at",
    "missing-column": "ALTER TABLE sessionstore.sessions DROP COLUMN deadline",
    "comment": "COMMENT ON TABLE sessionstore.items IS NULL",
    "nullable": "ALTER TABLE sessionstore.sessions ALTER COLUMN state DROP NOT NULL",
}


@pytest.mark.parametrize("change", _DRIFTS.values(), ids=_DRIFTS)
def test_a_changed_table_is_found(postgres: Database, change: str) -> None:
    ask(postgres, change)
    with pytest.raises(SchemaError, match="differ from revision") as raised:
        migrate.check(postgres.url)
    assert raised.value.found == raised.value.wanted == REVISIONS[-1]


async def test_alembic_finds_a_changed_table_too(postgres: Database, sqlite_template: Path, tmp_path: Path) -> None:
    ask(postgres, _DRIFTS["column"])
    path = copied_file(sqlite_template, tmp_path / "drifted.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE sessions ADD COLUMN mood text")
    for url in (postgres.url, sqlite_url(path)):
        ended = await _alembic(url, "check")
        assert ended.status != 0
        assert "mood" in ended.output


async def test_an_error_shows_neither_password_nor_address(tmp_path: Path) -> None:
    ended = await _alembic("postgresql://app:geheim-0815@127.0.0.1:1/app", "upgrade", "head")
    assert ended.status != 0
    assert "StorageUnavailableError" in ended.output
    assert "geheim-0815" not in ended.output
