"""Making and changing the tables, by `sessionstore.migrate`."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory

from sessionstore import ConfigurationError, SessionManager, migrate, open_storage
from sessionstore.storage import Key
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import sqlite_url
from sessionstore.testing.support.documents import increment, new_chat
from sessionstore.testing.support.logs import fill, texts_of

from ..support.bystander import ask, dsn, role, set_for_everybody
from ..support.databases import driven
from ..support.processes import ROOT, python
from .catalogue import postgresql_catalogue, sqlite_catalogue

# A released migration is never changed: databases have it behind them. What is wrong in one is put right by the next.
_RELEASED = {
    "0001_sessions.py": "50a05a0e429212b14b1d496cb92c50d550547d43481b47853e763f9209aea81e",
    "0002_items.py": "ae97b7706fec507d1459a0fc6e6c2220105f1c14d02415cd7baf58e37b120c6f",
}

_SCHEMAS = ["sessionstore", "My Chats", 'the "best"', "it's"]
_ODD_SCHEMAS = ["100%", "a :b", "$do$", "{schema}"]


def test_a_released_migration_never_changes() -> None:
    files = sorted((ROOT / "migrations" / "versions").glob("*.py"))
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files} == _RELEASED


def test_the_newest_migration_is_the_newest_revision_of_the_code() -> None:
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    assert scripts.get_current_head() == REVISIONS[-1]
    assert [script.revision for script in scripts.walk_revisions()] == [*reversed(REVISIONS)]


def test_the_table_of_postgresql_is_made_for_churn(postgres: Database) -> None:
    columns, tables, indexes, *_ = postgresql_catalogue(postgres)
    assert {column[1]: column[4] for column in columns if column[0] == "sessions" and column[2] == "text"} == {
        "namespace": "C",
        "session_id": "C",
        "owner_id": "C",
        "writes": "C",
        "keys": "C",
        "appends": "C",
        "lost_appends": "C",
    }
    (own, toast), *_ = [table[1:] for table in tables if table[0] == "sessions"]
    assert "fillfactor=80" in own
    assert {"autovacuum_vacuum_scale_factor=0.02", "autovacuum_analyze_scale_factor=0.02"} <= {*own}
    assert "autovacuum_vacuum_scale_factor=0.02" in toast
    assert [index.partition(" USING ")[2] for index, primary in indexes if "sessions_" in index and not primary] == [
        "btree (expires_at) WHERE (expires_at IS NOT NULL)",
        "btree (namespace, owner_id) WHERE (owner_id IS NOT NULL)",
    ]
    ((lz4,),) = ask(postgres, "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'")
    ((compression,),) = ask(postgres, "SELECT attcompression FROM pg_attribute WHERE attname = 'state' AND attnum = 3")
    assert compression == ("l" if lz4 else "")


def test_the_table_of_sqlite_is_strict_and_its_log_written_ahead(sqlite_template: Path) -> None:
    with closing(sqlite3.connect(sqlite_template, isolation_level=None)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        strict = "SELECT strict FROM pragma_table_list WHERE name IN ('sessions', 'items')"
        assert connection.execute(strict).fetchall() == [(1,), (1,)]
        indexes = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql LIKE '%WHERE%'")
        assert len(indexes.fetchall()) == 3
        broken = """
            INSERT INTO sessions (namespace, session_id, state, version, created_at, updated_at, last_accessed_at)
            VALUES ('n', 's', '{', 1, 0, 0, 0)
        """
        with pytest.raises(sqlite3.IntegrityError, match="is_json"):
            connection.execute(broken)


@pytest.mark.parametrize("schema", _SCHEMAS[1:])
async def test_a_schema_may_have_a_name_that_needs_quotes(bare_database: Database, driver: str, schema: str) -> None:
    await _use_schema(bare_database, driven(bare_database.url, driver), schema)


@pytest.mark.parametrize("schema", _ODD_SCHEMAS)
async def test_a_schema_with_an_odd_name_is_refused_at_once_or_works(
    bare_database: Database, driver: str, schema: str
) -> None:
    try:
        open_storage(bare_database.url, schema=schema)
    except ConfigurationError:
        with pytest.raises(ConfigurationError):
            migrate.upgrade(bare_database.url, schema=schema)
        with pytest.raises(ConfigurationError):
            migrate.sql(bare_database.url, schema=schema)
    else:
        await _use_schema(bare_database, driven(bare_database.url, driver), schema)
        _compare_script(bare_database, schema)


async def _use_schema(database: Database, url: str, schema: str) -> None:
    for _ in range(2):
        migrate.upgrade(database.url, schema=schema)
    migrate.check(database.url, schema=schema)
    assert migrate.current(database.url, schema=schema) == REVISIONS[-1]
    async with open_storage(url, schema=schema) as storage:
        chats = SessionManager(new_chat, storage)
        for name in ("s", "t"):
            await chats.create_session(name, owner_id="u")
        assert (await chats.update_session("s", increment)).unwrap()["n"] == 1
        assert (await chats.get_session("s")).unwrap()["n"] == 1
        await fill(storage, Key("sessions", "s"), "1", "2")
        assert await texts_of(storage, Key("sessions", "s")) == ["1", "2"]
        assert len((await storage.list(owner_id="u")).sessions) == 2
        assert (await chats.delete_session("s")).unwrap() is True
        quoted = schema.replace('"', '""')
        assert ask(database, f'SELECT count(*) FROM "{quoted}".items') == [(0,)]
        assert await storage.purge_expired() == 0
        assert await storage.clear() == 1
    migrate.downgrade(database.url, schema=schema, revision="base")
    assert migrate.current(database.url, schema=schema) is None


@pytest.mark.parametrize("database_kind", ["postgresql", "sqlite"])
async def test_one_of_several_concurrent_upgrades_migrates_and_all_succeed(
    request: pytest.FixtureRequest, tmp_path: Path, database_kind: str
) -> None:
    url = sqlite_url(tmp_path / "new.db")
    if database_kind == "postgresql":
        url = request.getfixturevalue("bare_database").url
    ended = await python("-m", "tests.migrate.upgraders", url, "10", "2")
    assert ended.status == 0, ended.output
    if database_kind == "postgresql":
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert ask(request.getfixturevalue("bare_database"), deadlocks) == [(0,)]


def test_a_role_that_may_not_make_schemas_can_upgrade_in_its_own(bare_database: Database) -> None:
    ask(bare_database, "CREATE SCHEMA sessionstore")
    with role(bare_database, "GRANT USAGE, CREATE ON SCHEMA sessionstore TO {role}") as url:
        for _ in range(2):
            migrate.upgrade(url)
        migrate.check(url)


@pytest.mark.parametrize("schema", _SCHEMAS)
def test_the_script_makes_what_an_upgrade_makes(bare_database: Database, schema: str) -> None:
    _compare_script(bare_database, schema)


def _compare_script(database: Database, schema: str) -> None:
    drop = f'DROP SCHEMA IF EXISTS "{schema.replace(chr(34), chr(34) * 2)}" CASCADE'
    ask(database, drop)
    script = migrate.sql(database.url, schema=schema)
    with psycopg.connect(dsn(database.url), autocommit=True) as connection:
        connection.execute(script.encode())
    by_script = postgresql_catalogue(database, schema)
    migrate.check(database.url, schema=schema)
    ask(database, drop)
    migrate.upgrade(database.url, schema=schema)
    assert postgresql_catalogue(database, schema) == by_script


def test_the_script_for_sqlite_makes_what_an_upgrade_makes(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "by-script.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(migrate.sql(sqlite_url(path)))
    assert [_squeezed(thing) for thing in sqlite_catalogue(path)] == [
        _squeezed(thing) for thing in sqlite_catalogue(sqlite_template)
    ]
    migrate.check(sqlite_url(path))


def _squeezed(thing: tuple[object, ...]) -> str:
    return re.sub(r"\s+", "", str(thing).replace("\\n", "").replace("\\t", ""))


def test_making_a_script_asks_no_database() -> None:
    script = migrate.sql("postgresql://nobody@192.0.2.1:1/nowhere")
    assert "CREATE TABLE sessionstore.sessions" in script


def test_the_schema_may_be_the_first_of_the_search_path(bare_database: Database) -> None:
    # As it is for a role that has the schema's name: PostgreSQL's default search path begins with "$user".
    set_for_everybody(bare_database, "search_path = sessionstore, public")
    migrate.upgrade(bare_database.url)
    migrate.check(bare_database.url)


@pytest.mark.parametrize("schema", ["sessionstore", "public"])
def test_the_tables_of_the_service_are_left_alone(bare_database: Database, schema: str) -> None:
    for place in {"public", schema}:
        ask(bare_database, f"CREATE SCHEMA IF NOT EXISTS {place}")
        ask(bare_database, f"CREATE TABLE {place}.alembic_version (version_num text); ")
        ask(bare_database, f"INSERT INTO {place}.alembic_version VALUES ('of the service')")
        ask(bare_database, f"CREATE TABLE {place}.orders (id int PRIMARY KEY, ts timestamptz)")
    before = postgresql_catalogue(bare_database, "public"), postgresql_catalogue(bare_database, schema)
    migrate.upgrade(bare_database.url, schema=schema)
    migrate.check(bare_database.url, schema=schema)
    migrate.downgrade(bare_database.url, schema=schema, revision="base")
    ask(bare_database, f"DROP TABLE IF EXISTS {schema}.sessionstore_version")
    assert (postgresql_catalogue(bare_database, "public"), postgresql_catalogue(bare_database, schema)) == before
    assert ask(bare_database, f"SELECT * FROM {schema}.alembic_version") == [("of the service",)]


def test_the_tables_of_the_service_in_a_sqlite_file_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "service.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE alembic_version (version_num text); CREATE TABLE orders (id int);")
    before = sqlite_catalogue(path)
    migrate.upgrade(sqlite_url(path))
    migrate.check(sqlite_url(path))
    migrate.downgrade(sqlite_url(path), revision="base")
    assert [thing for thing in sqlite_catalogue(path) if "sessionstore_version" not in thing[1]] == before
