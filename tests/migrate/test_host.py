"""Our revisions inside a host's Alembic."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from sessionstore import SchemaError, StorageUnavailableError, migrate
from sessionstore.migrate import guest, guest_part, waits
from sessionstore.migrate.locks import key_of
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database

from ..support.bystander import ask, dsn, set_for_everybody, until_blocked
from ..support.databases import driven
from ..support.processes import ROOT, python
from .catalogue import postgresql_catalogue
from .host import OURS, Host
from .hosted import HOSTED, tables_of, versions_in

_OWN = ["public.alembic_version", "public.orders"]
_OURS = ["deletions", "items", "sessions", "sessionstore_version"]


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_revision_has_one_for_hosts(revision: str) -> None:
    hosted = ScriptDirectory(
        str(ROOT / "migrations"), version_locations=[str(Path(guest.__file__).parent / "versions")]
    )
    ours = ScriptDirectory(str(ROOT / "migrations"))
    script, original = hosted.get_revision(f"sessionstore_{revision}"), ours.get_revision(revision)
    assert script.down_revision == (original.down_revision and f"sessionstore_{original.down_revision}")
    assert script.branch_labels == {"sessionstore"}
    assert hosted.get_current_head() == f"sessionstore_{REVISIONS[-1]}"


@pytest.mark.parametrize("per_migration", [False, True], ids=["one-transaction", "transaction-per-migration"])
@pytest.mark.parametrize(("template", "driver"), [("generic", "psycopg"), ("async", "psycopg"), ("async", "asyncpg")])
def test_the_tables_are_made_in_our_schema_beside_those_of_the_host(
    bare_database: Database, tmp_path: Path, template: str, driver: str, per_migration: bool
) -> None:
    host = Host.made(tmp_path, driven(bare_database.url, driver), template)
    host.configure(f"transaction_per_migration={per_migration}")
    for _ in range(2):
        host.upgrade()
        migrate.check(bare_database.url)
        assert tables_of(bare_database) == [*_OWN, *(f"sessionstore.{name}" for name in _OURS)]
        assert versions_in(bare_database) == HOSTED
    by_host = postgresql_catalogue(bare_database)
    host.downgrade("sessionstore@base")
    assert tables_of(bare_database) == [*_OWN, "sessionstore.sessionstore_version"]
    assert (versions_in(bare_database), migrate.current(bare_database.url)) == ([("0001",)], None)
    migrate.upgrade(bare_database.url)
    assert postgresql_catalogue(bare_database) == by_host


def test_our_branch_is_migrated_alone(bare_database: Database, tmp_path: Path) -> None:
    host = Host.made(tmp_path, bare_database.url)
    host.upgrade("sessionstore@head")
    migrate.check(bare_database.url)
    assert "public.orders" not in tables_of(bare_database)
    host.downgrade("sessionstore@-1")
    assert migrate.current(bare_database.url) == REVISIONS[-2]
    host.upgrade("app@head")
    assert migrate.current(bare_database.url) == REVISIONS[-2]


_CONVENTION = "{'pk': 'PK_%(table_name)s', 'ix': 'IX_%(table_name)s', 'ck': 'CK_%(constraint_name)s'}"
_SETTINGS = {
    "naming convention": ("target_metadata = None", f"""
from sqlalchemy import MetaData
target_metadata = MetaData(schema="other", naming_convention={_CONVENTION})
"""),
    "schema_translate_map": ("connectable.connect() as connection:", """connectable.connect() as connection:
        connection.execute(__import__("sqlalchemy").text("CREATE SCHEMA IF NOT EXISTS tenant"))
        connection.commit()
        connection.execution_options(schema_translate_map={None: "tenant", "sessionstore": "tenant"})"""),
    "autocommit": ("connectable.connect() as connection:", """connectable.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")"""),
    "search_path": ("connectable.connect() as connection:", """connectable.connect() as connection:
        connection.execute(__import__("sqlalchemy").text("CREATE SCHEMA IF NOT EXISTS elsewhere"))
        connection.execute(__import__("sqlalchemy").text("SET search_path = elsewhere"))
        connection.commit()"""),
    "arguments": ("context.run_migrations()", "context.run_migrations(tenant='t1', schema='t1')"),
    "batch": ("target_metadata=target_metadata", """target_metadata=target_metadata,
            render_as_batch=True, compare_server_default=True, version_table="history", version_table_pk=False,
            include_schemas=True"""),
}  # fmt: skip


@pytest.mark.parametrize("setting", _SETTINGS)
def test_no_setting_of_the_host_counts_for_our_tables(postgres: Database, tmp_path: Path, setting: str) -> None:
    wanted = postgresql_catalogue(postgres)
    ask(postgres, "DROP SCHEMA sessionstore CASCADE")
    host = Host.made(tmp_path, postgres.url)
    host.edit_env(*_SETTINGS[setting])
    if setting == "schema_translate_map":  # of which Alembic's search for its own table takes no notice
        host.configure("version_table_schema='public'")
    host.upgrade()
    assert postgresql_catalogue(postgres) == wanted
    migrate.check(postgres.url)
    host.upgrade()
    host.downgrade("sessionstore@base")
    assert migrate.current(postgres.url) is None
    # What the host's later revisions see is theirs again.
    host.add("0002", "lines", down="0001")
    host.upgrade("app@head")
    assert any(name.endswith(".lines") for name in tables_of(postgres))
    assert not any(name == "sessionstore.lines" for name in tables_of(postgres))


@pytest.mark.parametrize("way", ["environment", "file"])
def test_the_schema_is_that_of_the_environment_or_of_the_hosts_file(
    bare_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    options = {}
    if way == "environment":
        monkeypatch.setenv("SESSIONSTORE_SCHEMA", "My chats")
    else:
        monkeypatch.setenv("SESSIONSTORE_SCHEMA", "wrong")
        options["sessionstore_schema"] = "My chats"
    Host.made(tmp_path, bare_database.url, **options).upgrade()
    migrate.check(bare_database.url, schema="My chats")
    assert tables_of(bare_database) == [*(f"My chats.{name}" for name in _OURS), *_OWN]


def test_the_schema_may_be_that_of_the_host(bare_database: Database, tmp_path: Path) -> None:
    Host.made(tmp_path, bare_database.url, sessionstore_schema="public").upgrade()
    migrate.check(bare_database.url, schema="public")
    assert tables_of(bare_database) == sorted([*_OWN, *(f"public.{name}" for name in _OURS)])


@pytest.mark.parametrize("template", ["generic", "async"])
def test_a_database_that_was_migrated_one_way_goes_on_the_other_way(
    bare_database: Database, tmp_path: Path, template: str
) -> None:
    url = bare_database.url
    host = Host.made(tmp_path, url, template)
    migrate.upgrade(url, revision=REVISIONS[0])
    ask(bare_database, _ROW)
    host.upgrade()  # goes on, and records what it finds
    migrate.check(url)
    assert versions_in(bare_database) == HOSTED
    migrate.downgrade(url, revision=REVISIONS[0])
    host.downgrade("sessionstore@sessionstore_0001")  # finds it done
    assert (migrate.current(url), versions_in(bare_database)) == (REVISIONS[0], [("0001",), ("sessionstore_0001",)])
    migrate.upgrade(url)
    host.upgrade()  # finds it done
    assert versions_in(bare_database) == HOSTED
    host.downgrade("sessionstore@sessionstore_0001")
    migrate.upgrade(url)
    assert ask(bare_database, "SELECT session_id FROM sessionstore.sessions") == [("s",)]
    host.downgrade("sessionstore@base")  # also what the other way added
    assert migrate.current(url) is None
    assert tables_of(bare_database) == [*_OWN, "sessionstore.sessionstore_version"]


_ROW = """
    INSERT INTO sessionstore.sessions (namespace, session_id, state, version, created_at, updated_at, last_accessed_at)
    VALUES ('n', 's', '{}', 1, now(), now(), now())
"""


def test_a_database_of_a_newer_version_is_left_as_it_is(postgres: Database, tmp_path: Path) -> None:
    host = Host.made(tmp_path, postgres.url)
    ask(postgres, "UPDATE sessionstore.sessionstore_version SET version_num = '9999_needs_9998'")
    with pytest.raises(SchemaError, match="9999"):
        host.upgrade("sessionstore@head")
    assert not ask(postgres, "SELECT to_regclass('alembic_version')")[0][0]
    # One that only adds to the tables leaves nothing to do.
    ask(postgres, "UPDATE sessionstore.sessionstore_version SET version_num = '9999'")
    host.upgrade()
    assert (migrate.current(postgres.url), versions_in(postgres)) == ("9999", HOSTED)


def test_a_failed_migration_of_the_host_takes_ours_back_with_it(bare_database: Database, tmp_path: Path) -> None:
    host = Host.made(tmp_path, bare_database.url)
    host.add("0002", "lines", down="0001", after="raise KeyError('mine')")
    with pytest.raises(KeyError, match="mine"):
        host.upgrade()
    assert tables_of(bare_database) == []


@pytest.mark.parametrize("given", ["0", "3s"])
def test_the_hosts_own_limits_are_those_that_it_had(bare_database: Database, tmp_path: Path, given: str) -> None:
    set_for_everybody(bare_database, f"lock_timeout = '{given}'")
    host = Host.made(tmp_path, bare_database.url)
    host.add(
        "0002", "lines", down="0001",
        after="op.execute('CREATE TABLE seen AS SELECT current_setting($$lock_timeout$$) AS it')",
    )  # fmt: skip
    host.upgrade("sessionstore@head")
    host.upgrade()
    assert ask(bare_database, "SELECT it FROM seen") == [(given,)]


@pytest.mark.parametrize("autocommit", [False, True], ids=["transaction", "autocommit"])
async def test_hosts_that_upgrade_at_once_migrate_once(
    bare_database: Database, tmp_path: Path, autocommit: bool
) -> None:
    host = Host.made(tmp_path, bare_database.url)
    if autocommit:
        host.edit_env(*_SETTINGS["autocommit"])
    host.upgrade("app@head")
    command = ("-m", "alembic", "-c", str(tmp_path / "alembic.ini"), "upgrade")
    for revision in REVISIONS:
        with psycopg.connect(dsn(bare_database.url)) as held:
            held.execute("SELECT pg_advisory_xact_lock(%s)", [key_of("sessionstore")])
            hosts = [asyncio.ensure_future(python(*command, f"sessionstore@sessionstore_{revision}")) for _ in range(2)]
            await until_blocked(bare_database, 2)
        for ended in await asyncio.gather(*hosts):
            assert ended.status == 0, ended.output
        assert migrate.current(bare_database.url) == revision
        assert versions_in(bare_database) == [("0001",), (f"sessionstore_{revision}",)]


async def test_a_host_waits_for_those_who_use_the_tables_and_lets_others_through(
    bare_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guest_part, "TABLE_TURN", 0.2)
    monkeypatch.setattr(waits, "_UNNOTICED", 0.0)
    migrate.upgrade(bare_database.url, revision=REVISIONS[0])
    host = Host.made(tmp_path, bare_database.url)
    with ThreadPoolExecutor() as pool:
        with psycopg.connect(dsn(bare_database.url)) as user:
            user.execute("SELECT FROM sessionstore.sessions")
            upgrade = pool.submit(host.upgrade)
            await until_blocked(bare_database)
            # Somebody who comes later gets in between two tries.
            await asyncio.to_thread(ask, bare_database, "SELECT FROM sessionstore.sessions")
        upgrade.result(timeout=30)
    migrate.check(bare_database.url)
    assert "waiting for a lock in schema 'sessionstore', held by" in caplog.text


@pytest.mark.parametrize("held", ["the tables", "a migration"])
def test_the_error_of_a_host_that_gets_no_lock_in_time_names_the_holder(
    bare_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    monkeypatch.setattr(waits, "LOCK_TIMEOUT", timedelta(seconds=0.2))
    migrate.upgrade(bare_database.url, revision=REVISIONS[0])
    with psycopg.connect(dsn(bare_database.url), application_name="busy bee") as user:
        if held == "the tables":
            user.execute("SELECT FROM sessionstore.sessions")
        else:
            user.execute("SELECT pg_advisory_xact_lock(%s)", [key_of("sessionstore")])
        with pytest.raises(StorageUnavailableError, match="busy bee"):
            Host.made(tmp_path, bare_database.url).upgrade()
    assert migrate.current(bare_database.url) == REVISIONS[0]
    assert "public.orders" not in tables_of(bare_database)


def test_our_own_directory_of_revisions_is_refused_in_a_host(bare_database: Database, tmp_path: Path) -> None:
    host = Host.made(tmp_path, bare_database.url)
    ini = tmp_path / "alembic.ini"
    ini.write_text(ini.read_text().replace(OURS, str(ROOT / "migrations" / "versions")))
    (host.script / "versions" / "0001_orders.py").unlink()
    with pytest.raises(CommandError, match=OURS):
        host.upgrade()
    assert tables_of(bare_database) == []
