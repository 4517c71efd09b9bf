"""Migrations that are run by hand, as SQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from sessionstore import ConfigurationError, migrate
from sessionstore.migrate.locks import key_of
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import sqlite_url

from ..support.bystander import ask, dsn, role
from .catalogue import postgresql_catalogue, sqlite_catalogue

_WAY = ("base", *REVISIONS)
_STEPS = [*pairwise(_WAY)]
_STEPS += [(goal, start) for start, goal in reversed(_STEPS)]

_SCHEMAS = ["sessionstore", 'the "best"', "it's"]


def _run(database: Database, script: str) -> None:
    with psycopg.connect(dsn(database.url), autocommit=True) as connection:
        connection.execute(script.encode())


def _current(url: str, schema: str | None = None) -> str:
    return migrate.current(url, schema=schema) or "base"


@pytest.mark.parametrize("schema", _SCHEMAS)
def test_scripts_go_up_and_down_as_migrations_do(bare_database: Database, schema: str) -> None:
    url = bare_database.url
    for start, goal in _STEPS:
        script = migrate.sql(url, schema=schema, revision=goal, from_revision=start)
        assert (script.count("BEGIN;"), script.count("COMMIT;")) == (1, 1)
        _run(bare_database, script)
        assert _current(url, schema) == goal
        by_script = postgresql_catalogue(bare_database, schema)
        up = _WAY.index(start) < _WAY.index(goal)
        (migrate.downgrade if up else migrate.upgrade)(url, schema=schema, revision="base" if up else REVISIONS[-1])
        if goal == "base":
            migrate.downgrade(url, schema=schema, revision=goal)
        else:
            (migrate.upgrade if up else migrate.downgrade)(url, schema=schema, revision=goal)
        assert postgresql_catalogue(bare_database, schema) == by_script


@pytest.mark.parametrize(("start", "goal"), _STEPS)
def test_a_script_that_does_not_fit_changes_nothing(bare_database: Database, start: str, goal: str) -> None:
    script = migrate.sql(bare_database.url, revision=goal, from_revision=start)
    for place in {*_WAY} - {start}:
        if place != "base":
            migrate.upgrade(bare_database.url, revision=place)
        before = postgresql_catalogue(bare_database)
        with pytest.raises(psycopg.errors.RaiseException, match=f"from revision {start} to {goal}, but .* {place}\n"):
            _run(bare_database, script)
        # As psql does, which goes on after an error.
        with psycopg.connect(dsn(bare_database.url), autocommit=True) as connection:
            for statement in script.split(";\n\n"):
                try:
                    connection.execute(statement.encode())
                except psycopg.Error as error:
                    assert isinstance(error, psycopg.errors.RaiseException | psycopg.errors.InFailedSqlTransaction)  # noqa: PT017  # most of them raise
        assert postgresql_catalogue(bare_database) == before
        migrate.downgrade(bare_database.url, revision="base")


def test_a_script_waits_for_no_lock_for_long(postgres: Database) -> None:
    script = migrate.sql(postgres.url, revision=REVISIONS[0], from_revision=REVISIONS[-1])
    for hold in ("SELECT FROM sessionstore.sessions", f"SELECT pg_advisory_xact_lock({key_of('sessionstore')})"):
        with psycopg.connect(dsn(postgres.url)) as user:
            user.execute(hold)
            with pytest.raises(psycopg.errors.LockNotAvailable):
                _run(postgres, script)
        migrate.check(postgres.url)
    _run(postgres, script)


def test_a_role_that_may_not_make_schemas_runs_the_script_in_its_own(bare_database: Database) -> None:
    ask(bare_database, "CREATE SCHEMA sessionstore")
    with role(bare_database, "GRANT USAGE, CREATE ON SCHEMA sessionstore TO {role}") as url:
        _run(Database(url), migrate.sql(url))
        migrate.check(url)


@pytest.mark.parametrize(("start", "goal"), _STEPS)
def test_a_script_for_sqlite_that_does_not_fit_changes_nothing(tmp_path: Path, start: str, goal: str) -> None:
    for place in {*_WAY} - {start}:
        path = tmp_path / f"{place}.db"
        if place != "base":
            migrate.upgrade(sqlite_url(path), revision=place)
        with closing(sqlite3.connect(path)) as connection:
            before = sqlite_catalogue(path)
            with pytest.raises(sqlite3.Error, match=f"from revision {start} to {goal}|no such table"):
                connection.executescript(migrate.sql(sqlite_url(path), revision=goal, from_revision=start))
        assert sqlite_catalogue(path) == before


def test_a_script_that_goes_nowhere_is_refused() -> None:
    for start, goal in ("head", "head"), ("0001", "0001"), ("base", "base"), ("base", "nope"), ("-1", "head"):
        with pytest.raises(ConfigurationError):
            migrate.sql("postgresql://app@db/app", revision=goal, from_revision=start)
