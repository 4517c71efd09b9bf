"""Indexes that are built while the tables are in use, and those of which a build did not end."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from sessionstore import SchemaError, migrate
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url

from ..support.bystander import ask, dsn, until, until_alone, until_blocked
from ..support.processes import ROOT
from .later import INDEX, WITH_INDEX

_MADE = "SELECT indisvalid, pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid = to_regclass(%s)"
_WAITS = "wait_event_type = 'Lock' AND datname = current_database()"
_DEFINITION = f"CREATE INDEX {INDEX} ON sessionstore.sessions USING btree (updated_at) WHERE (version > 0)"


def _made(database: Database, name: str = INDEX) -> list[tuple[bool, str]]:
    return [(valid, definition) for valid, definition in ask(database, _MADE, f"sessionstore.{name}")]


@contextmanager
def _writing(database: Database) -> Iterator[psycopg.Connection]:
    """A transaction that has written: whoever builds an index waits for its end."""
    with psycopg.connect(dsn(database.url)) as connection:
        connection.execute("DELETE FROM sessionstore.sessions WHERE session_id = 'nobody'")
        yield connection


def test_an_index_is_built_and_dropped_by_a_later_revision(postgres: Database, later: Path) -> None:
    for _ in range(2):
        migrate.upgrade(postgres.url, revision=WITH_INDEX)
        assert _made(postgres) == [(True, _DEFINITION)]
        migrate.downgrade(postgres.url, revision="0002")
        assert _made(postgres) == []


def test_an_index_is_built_by_a_later_revision_in_sqlite(sqlite_template: Path, tmp_path: Path, later: Path) -> None:
    path = copied_file(sqlite_template, tmp_path / "sessions.db")
    query = f"SELECT count(*) FROM sqlite_master WHERE name = '{INDEX}'"
    for count, command in ((1, migrate.upgrade), (0, lambda url: migrate.downgrade(url, revision="0002"))):
        command(sqlite_url(path))
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute(query).fetchone() == (count,)


@pytest.mark.parametrize("terminated", [True, False], ids=["invalid", "built"])
async def test_an_index_whose_build_was_killed_is_there_after_the_next_upgrade(
    postgres: Database, later: Path, terminated: bool
) -> None:
    with _writing(postgres) as writer:
        upgrade = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.migrate.later", str(later), postgres.url, cwd=ROOT
        )
        await until(postgres, f"SELECT to_regclass('sessionstore.{INDEX}') IS NOT NULL")
        await until_blocked(postgres)
        upgrade.send_signal(signal.SIGKILL)
        assert await upgrade.wait() == -signal.SIGKILL
        assert _made(postgres) == [(False, _DEFINITION)]
        if terminated:
            builders = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {_WAITS}"
            assert ask(postgres, builders) == [(True,)]
        writer.commit()
    await until_alone(postgres)
    assert _made(postgres) == [(not terminated, _DEFINITION)]
    migrate.upgrade(postgres.url, revision=WITH_INDEX)
    assert migrate.current(postgres.url) == WITH_INDEX
    assert _made(postgres) == [(True, _DEFINITION)]


async def test_an_index_is_built_behind_a_transaction_that_outlasts_the_wait_for_a_table(
    postgres: Database, later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.migrate.locks.TABLE_TURN", 0.05)
    with _writing(postgres) as writer:
        upgrade = asyncio.create_task(asyncio.to_thread(migrate.upgrade, postgres.url))
        await until(
            postgres,
            f"SELECT count(*) > 0 FROM pg_stat_activity WHERE {_WAITS} AND clock_timestamp() - query_start > '100ms'",
        )
        # Others write meanwhile.
        ask(postgres, "DELETE FROM sessionstore.sessions")
        writer.commit()
    await upgrade
    assert _made(postgres) == [(True, _DEFINITION)]


_OURS = ["ix_sessions_expires_at", "uq_items_namespace_item_id", "sessions_pkey", "ix_deletions_deleted_at"]


@pytest.mark.parametrize("name", _OURS)
def test_an_invalid_index_of_ours_is_named_by_the_check_and_rebuilt_by_the_upgrade(
    postgres: Database, name: str
) -> None:
    before = _made(postgres, name)
    ask(postgres, f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'sessionstore.{name}'::regclass")
    with pytest.raises(SchemaError, match=f"{name}; run `sessionstore migrate upgrade`"):
        migrate.check(postgres.url)
    migrate.upgrade(postgres.url)
    migrate.check(postgres.url)
    assert _made(postgres, name) == before


async def test_the_upgrade_drops_the_remains_of_a_killed_reindex(postgres: Database) -> None:
    name = "ix_sessions_expires_at"
    with _writing(postgres) as writer, psycopg.connect(dsn(postgres.url), autocommit=True) as operator:
        reindexing = asyncio.create_task(
            asyncio.to_thread(operator.execute, f"REINDEX INDEX CONCURRENTLY sessionstore.{name}".encode())
        )
        await until_blocked(postgres)
        await until(postgres, f"SELECT to_regclass('sessionstore.{name}_ccnew') IS NOT NULL")
        operator.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await reindexing
        writer.commit()
    with pytest.raises(SchemaError, match=f"{name}_ccnew; run"):
        migrate.check(postgres.url)
    migrate.upgrade(postgres.url)
    migrate.check(postgres.url)
    assert _made(postgres, f"{name}_ccnew") == []


def test_an_invalid_index_of_somebody_else_is_left(postgres: Database) -> None:
    ask(postgres, "CREATE TABLE sessionstore.orders (id int PRIMARY KEY)")
    ask(postgres, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'sessionstore.orders_pkey'::regclass")
    migrate.upgrade(postgres.url)
    migrate.check(postgres.url)
    assert _made(postgres, "orders_pkey")[0][0] is False
