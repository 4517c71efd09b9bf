"""Items end with their session, whichever program deletes or replaces its row: also one that knows no items."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest

from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file

from ..support.bystander import ask, dsn, role, until_alone, until_blocked

Run: TypeAlias = Callable[[str], list[tuple[Any, ...]]]
"""Runs a statement in which {s} is the prefix of a table's name, and {0} to {9} are times."""

_MAKE = """
    INSERT INTO {s}sessions (namespace, session_id, state, version, created_at, updated_at, last_accessed_at)
    VALUES ('chat', '%s', '{{}}', 1, {0}, {0}, {0})
"""
_COUNT = """
    UPDATE {s}sessions SET last_position = last_position + 2, item_count = item_count + 2,
        appends = 'new' || appends, lost_appends = 'lost' WHERE session_id = '%s'
"""
_ADD = """
    INSERT INTO {s}items (namespace, session_id, log, position, item, item_id, created_at)
    VALUES ('chat', '%s', '', 1, '1', 'a', {0}), ('chat', '%s', 'log', 2, '2', NULL, {0})
"""
_KEY = "namespace = 'chat' AND session_id = 's'"
_DELETE = f"DELETE FROM {{s}}sessions WHERE {_KEY}"
_REPLACE = f"""
    UPDATE {{s}}sessions SET state = '[]', origin = NULL, owner_id = NULL, version = 7, writes = '', keys = '',
        ttl = NULL, created_at = {{1}}, updated_at = {{1}}, last_accessed_at = {{1}}, expires_at = NULL, deadline = NULL
    WHERE {_KEY}
"""
_SET = _REPLACE.replace("created_at = {1}, u", "created_at = created_at, u")
_UPSERT = """
    INSERT INTO {s}sessions (namespace, session_id, state, version, created_at, updated_at, last_accessed_at)
    VALUES ('chat', 's', '[]', 7, {1}, {1}, {1})
    ON CONFLICT (namespace, session_id) DO UPDATE SET state = excluded.state, version = excluded.version,
        created_at = excluded.created_at, updated_at = excluded.updated_at
"""
_UPDATE = f"UPDATE {{s}}sessions SET state = '[]', version = 2, updated_at = {{1}}, expires_at = {{9}} WHERE {_KEY}"
_COUNTS = f"SELECT last_position, item_count, appends, lost_appends FROM {{s}}sessions WHERE {_KEY}"
_ITEMS = "SELECT session_id, position FROM {s}items ORDER BY session_id, position"


@pytest.fixture(params=["postgresql", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Statements of a program on a database of its own."""
    if request.param == "postgresql":
        postgres: Database = request.getfixturevalue("postgres")
        yield lambda statement: ask(postgres, _for_postgresql(statement))
        return
    path = copied_file(request.getfixturevalue("sqlite_template"), tmp_path / "sessions.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield lambda statement: connection.execute(statement.format(*range(10), s="")).fetchall()


def _for_postgresql(statement: str) -> str:
    return statement.format(*(f"timestamptz '2026-01-01 00:00:0{n}+00'" for n in range(10)), s="sessionstore.")


def _fill(run: Run, *names: str) -> None:
    for name in names:
        run(_MAKE.replace("%s", name))
        run(_COUNT.replace("%s", name))
        run(_ADD.replace("%s", name))


_OTHER = [("other", 1), ("other", 2)]


def test_a_program_that_knows_no_items_deletes_them_with_the_session(run: Run) -> None:
    _fill(run, "s", "other")
    run(_DELETE)
    assert run(_ITEMS) == _OTHER
    run(_MAKE.replace("%s", "s"))
    assert run(_COUNTS) == [(0, 0, "", "")]


@pytest.mark.parametrize("replace", [_REPLACE, _UPSERT], ids=["UPDATE", "ON CONFLICT"])
def test_a_program_that_knows_no_items_replaces_a_session_without_them(run: Run, replace: str) -> None:
    _fill(run, "s", "other")
    run(replace)
    assert run(_ITEMS) == _OTHER
    assert run(_COUNTS) == [(0, 0, "", "")]
    run(_COUNT.replace("%s", "s"))
    run(_ADD.replace("%s", "s"))
    assert run(_ITEMS) == [*_OTHER, ("s", 1), ("s", 2)]


@pytest.mark.parametrize("write", [_UPDATE, _SET], ids=["update", "set"])
def test_a_program_that_knows_no_items_leaves_them_when_it_writes(run: Run, write: str) -> None:
    _fill(run, "s")
    run(write)
    assert run(_ITEMS) == [("s", 1), ("s", 2)]
    assert run(_COUNTS) == [(2, 2, "new", "lost")]


def test_a_replaced_session_keeps_the_items_that_it_is_made_with(run: Run) -> None:
    _fill(run, "s")
    run(_REPLACE.replace("state = '[]'", "last_position = 2, item_count = 1, appends = 'own', lost_appends = ''"))
    assert run(_ITEMS) == []
    assert run(_COUNTS) == [(2, 1, "own", "")]


@pytest.mark.parametrize("end", [_DELETE, _REPLACE], ids=["DELETE", "UPDATE"])
async def test_items_appended_while_the_statement_waited_for_the_row_go_too(postgres: Database, end: str) -> None:
    ask(postgres, _for_postgresql(_MAKE.replace("%s", "s")))
    ending = threading.Thread(target=ask, args=(postgres, _for_postgresql(end)))
    with psycopg.connect(dsn(postgres.url)) as appending:
        for statement in (_COUNT, _ADD):
            appending.execute(_for_postgresql(statement.replace("%s", "s")).encode())
        ending.start()
        await until_blocked(postgres)
        appending.commit()
    ending.join()
    assert ask(postgres, "SELECT FROM sessionstore.items") == []
    assert ask(postgres, _for_postgresql(_COUNTS)) == ([] if end == _DELETE else [(0, 0, "", "")])


@pytest.mark.parametrize("tables", ["{s}sessions", "{s}sessions, {s}items", "{s}items, {s}sessions"])
def test_items_are_truncated_with_their_sessions(postgres: Database, tables: str) -> None:
    _fill(lambda statement: ask(postgres, _for_postgresql(statement)), "s")
    ask(postgres, _for_postgresql(f"TRUNCATE {tables}"))
    assert ask(postgres, _for_postgresql(_ITEMS)) == []


async def test_deleting_items_reads_the_index_whatever_the_statistics_say(postgres: Database) -> None:
    read = "SELECT seq_scan, idx_scan > 0 FROM pg_stat_user_tables WHERE relname = 'items'"
    many = """
        INSERT INTO {s}items (namespace, session_id, log, position, item, created_at)
        SELECT 'other', (n % 100)::text, '', n, '1', {0} FROM generate_series(1, 20000) AS n
    """
    ask(postgres, "VACUUM (ANALYZE) sessionstore.items")  # so that the planner knows an empty table
    await until_alone(postgres)
    ((before, _),) = ask(postgres, read)
    with psycopg.connect(dsn(postgres.url), autocommit=True) as connection:

        def here(statement: str) -> list[tuple[Any, ...]]:
            connection.execute(_for_postgresql(statement).encode())
            return []

        for at in range(16):  # the same connection, which keeps the plans of the triggers
            _fill(here, "s")
            here(_DELETE if at % 2 else _REPLACE)
            here(_DELETE)
            if at == 7:
                here(many)
    await until_alone(postgres)
    assert ask(postgres, read) == [(before, True)]


def test_an_update_runs_no_trigger(postgres: Database) -> None:
    _fill(lambda statement: ask(postgres, _for_postgresql(statement)), "s")
    for statement, triggers in ((_UPDATE, []), (_REPLACE, ["sessions_replace_items"])):
        ((plan,),) = ask(postgres, f"EXPLAIN (ANALYZE, FORMAT JSON) {_for_postgresql(statement)}")[:1]
        assert [it["Trigger Name"] for it in plan[0]["Triggers"]] == triggers


@pytest.mark.parametrize("end", [_DELETE, _REPLACE], ids=["DELETE", "UPDATE"])
def test_a_role_without_rights_on_items_ends_sessions(postgres: Database, end: str) -> None:
    _fill(lambda statement: ask(postgres, _for_postgresql(statement)), "s", "other")
    rights = "GRANT SELECT, INSERT, UPDATE, DELETE ON sessionstore.sessions TO {role}"
    with (
        role(postgres, "GRANT USAGE ON SCHEMA sessionstore TO {role}", rights) as url,
        psycopg.connect(dsn(url), autocommit=True) as connection,
    ):
        connection.execute(_for_postgresql(end).encode())
        connection.execute("CREATE TEMP TABLE mine AS SELECT * FROM sessionstore.sessions")
        # Nobody else may use the functions, which have the rights of the owner.
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                "CREATE TRIGGER stolen AFTER TRUNCATE ON mine EXECUTE FUNCTION sessionstore.sessions_truncate_items()"
            )
    assert ask(postgres, _for_postgresql(_ITEMS)) == _OTHER
