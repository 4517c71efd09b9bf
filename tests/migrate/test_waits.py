"""Whom a migration waits for, for how long, and what it says."""

from __future__ import annotations

import logging
import secrets
import sqlite3
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from sessionstore import ConfigurationError, StorageError, StorageUnavailableError, migrate
from sessionstore.migrate import locks
from sessionstore.migrate import waits as waiting
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database, PostgresServer
from sessionstore.testing.sqlite import sqlite_url

from ..support.bystander import ask, dsn, set_for_everybody, until_blocked
from ..support.discretion import assert_discreet

_SOON = timedelta(milliseconds=1300)


@contextmanager
def _migrating(database: Database, schema: str = "sessionstore") -> Generator[int]:
    """Another migration that takes its time; its process."""
    with migrate.migrating(migrate.Target.of(database.url, schema)) as connection:
        yield connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()


def test_a_migration_waits_for_another_of_its_schema_and_logs_which(
    bare_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with _migrating(bare_database) as pid, pytest.raises(StorageUnavailableError) as raised:
        migrate.upgrade(bare_database.url, lock_timeout=_SOON)
    assert_discreet(raised.value)
    assert raised.value.code == "55P03"
    (record,) = caplog.records
    for message in (str(raised.value), record.getMessage()):
        assert f"process {pid} of role 'postgres', application 'sessionstore migrate', which began " in message
    assert "a migration waited 1.3s for a lock in schema 'sessionstore'" in str(raised.value)
    assert "--lock-timeout" in str(raised.value)
    assert record.getMessage().startswith("waiting for another migration of schema 'sessionstore': ")
    assert record.getMessage().endswith(" at most")
    assert (record.name, record.levelno) == ("sessionstore.migrate", logging.WARNING)
    assert migrate.current(bare_database.url) is None


async def test_a_migration_goes_on_when_the_other_one_ends(bare_database: Database) -> None:
    with ThreadPoolExecutor() as pool:
        with _migrating(bare_database):
            upgrade = pool.submit(migrate.upgrade, bare_database.url)
            await until_blocked(bare_database)
        upgrade.result(timeout=30)
    migrate.check(bare_database.url)


def test_a_migration_waits_for_no_other_schema(bare_database: Database) -> None:
    with _migrating(bare_database, "one"):
        migrate.upgrade(bare_database.url, schema="two", lock_timeout=timedelta(milliseconds=1))
        assert migrate.current(bare_database.url, schema="two") == REVISIONS[-1]


def test_a_migration_waits_for_its_lock_timeout_whatever_the_settings_of_the_role(bare_database: Database) -> None:
    set_for_everybody(bare_database, "statement_timeout = '200ms'")
    set_for_everybody(bare_database, "lock_timeout = '100ms'")
    with _migrating(bare_database), pytest.raises(StorageUnavailableError, match=r"waited 1\.3s"):
        migrate.upgrade(bare_database.url, lock_timeout=_SOON)


@contextmanager
def _using(database: Database) -> Generator[int]:
    """A long transaction of somebody who reads; its process."""
    with psycopg.connect(dsn(database.url), application_name="reports") as connection:
        connection.execute("SELECT FROM sessionstore.sessions")
        yield connection.info.backend_pid


def test_the_error_of_a_migration_that_gives_up_names_who_uses_the_tables(postgres: Database) -> None:
    with _using(postgres) as pid, pytest.raises(StorageUnavailableError) as raised:
        migrate.downgrade(postgres.url, revision="base", lock_timeout=timedelta(milliseconds=20))
    assert f"held by process {pid} of role 'postgres', application 'reports', which " in str(raised.value)
    assert "waited 0.02s" in str(raised.value)
    assert str(raised.value).count(f"process {pid} ") == 1
    assert_discreet(raised.value)
    migrate.check(postgres.url)


async def test_a_migration_that_waits_for_a_table_lets_others_pass_and_succeeds(
    postgres: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TABLE_TURN", 0.2)
    monkeypatch.setattr(waiting, "_UNNOTICED", 0.3)
    told = threading.Event()
    monkeypatch.setattr(caplog.handler, "emit", lambda _: told.set())
    with ThreadPoolExecutor() as pool:
        with _using(postgres):
            downgrade = pool.submit(migrate.downgrade, postgres.url, revision="base")
            await until_blocked(postgres)
            # It waits in the queue behind the migration, until that gives way.
            assert ask(postgres, "SELECT count(*) FROM sessionstore.sessions") == [(0,)]
            assert told.wait(30)
        downgrade.result(timeout=30)
    assert migrate.current(postgres.url) is None


def test_the_error_of_a_statement_timeout_names_the_setting(postgres: Database) -> None:
    set_for_everybody(postgres, "statement_timeout = '200ms'")
    with _using(postgres), pytest.raises(StorageUnavailableError, match="statement_timeout") as raised:
        migrate.downgrade(postgres.url, revision="base")
    assert raised.value.code == "57014"
    assert "password" not in str(raised.value)
    assert_discreet(raised.value)
    migrate.check(f"{postgres.url}&options=-c%20statement_timeout%3D0")


def test_a_migration_waits_for_a_sqlite_file_for_its_lock_timeout(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailableError, match=r"waited 1\.3s for the SQLite file") as raised:
            migrate.upgrade(sqlite_url(path), lock_timeout=_SOON)
        assert "new.db" in str(raised.value)
        assert raised.value.code == "SQLITE_BUSY"
        assert_discreet(raised.value)
        assert [record.getMessage()[:56] for record in caplog.records] == [
            "waiting for the process that writes the SQLite file '" + str(path)[:3]
        ]
        writer.execute("ROLLBACK")
    migrate.upgrade(sqlite_url(path))


@pytest.mark.parametrize("bad", [timedelta(0), timedelta(seconds=-1), timedelta(days=21), 5, "5s"], ids=str)
def test_an_invalid_lock_timeout_is_refused(bad: Any, tmp_path: Path) -> None:
    for url in ("postgresql://app@db/app", sqlite_url(tmp_path / "new.db")):
        with pytest.raises(ConfigurationError, match="lock_timeout"):
            migrate.upgrade(url, lock_timeout=bad)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_a_database_with_another_encoding_is_refused_with_the_remedy(server: PostgresServer, encoding: str) -> None:
    name = f"sessionstore_test_{secrets.token_hex(6)}"
    server.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        url = make_url(server.url).set(database=name).render_as_string(hide_password=False)
        for command in (migrate.upgrade, migrate.current, migrate.check):
            with pytest.raises(ConfigurationError, match=f"encoding of the database is {encoding}, .*ENCODING 'UTF8'"):
                command(url)
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_migration_works_with_any_client_encoding_of_the_role(
    bare_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_for_everybody(bare_database, "client_encoding = latin1")
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    migrate.upgrade(bare_database.url, schema="\u017elu\u0165")
    migrate.check(bare_database.url, schema="\u017elu\u0165")


def test_the_error_names_a_table_that_the_migrations_did_not_make(bare_database: Database) -> None:
    ask(bare_database, "CREATE SCHEMA sessionstore")
    ask(bare_database, "CREATE TABLE sessionstore.sessions (id int)")
    with pytest.raises(StorageError, match="which the migrations did not make") as raised:
        migrate.upgrade(bare_database.url)
    assert raised.value.code == "42P07"


def test_the_waits_of_one_transaction_for_tables_have_one_limit_together(
    bare_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TABLE_TURN", 0.3)
    show = "SELECT setting::int FROM pg_settings WHERE name = 'lock_timeout'"
    with migrate.migrating(migrate.Target.of(bare_database.url, None)) as connection:
        for _ in range(2):
            with connection.begin():
                assert 50 < connection.exec_driver_sql(show).scalar_one() <= 300
                connection.exec_driver_sql("SELECT pg_sleep(0.3)")
                assert connection.exec_driver_sql(show).scalar_one() == 50


def test_a_statement_that_blocks_nobody_may_wait_for_all_of_the_time(bare_database: Database) -> None:
    set_for_everybody(bare_database, "statement_timeout = '7s'")
    show = "SELECT setting::int FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout') ORDER BY name"
    target = migrate.Target.of(bare_database.url, None, timedelta(seconds=50))
    with migrate.migrating(target) as connection, connection.begin():
        lock_timeout, statement_timeout = connection.exec_driver_sql(f"{show} -- CONCURRENTLY ").scalars()
        assert lock_timeout > 2000
        assert statement_timeout == 0
        lock_timeout, statement_timeout = connection.exec_driver_sql(show).scalars()
        assert lock_timeout <= 2000
        assert statement_timeout == 7000


async def test_a_migration_that_a_deadlock_ends_is_tried_again(postgres: Database) -> None:
    with ThreadPoolExecutor() as pool, psycopg.connect(dsn(postgres.url), autocommit=True) as other:
        other.execute("SET deadlock_timeout = '1min'")  # so that the server ends the migration
        with other.transaction():
            other.execute("SELECT FROM sessionstore.items")
            downgrade = pool.submit(migrate.downgrade, postgres.url, revision=REVISIONS[0])
            await until_blocked(postgres)
            other.execute("SELECT FROM sessionstore.sessions")
        downgrade.result(timeout=30)
    assert migrate.current(postgres.url) == REVISIONS[0]
