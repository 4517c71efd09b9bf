"""Writes migrations as SQL scripts, which an administrator runs by hand."""

from __future__ import annotations

import io
from typing import Final

from alembic import command

from ..errors import ConfigurationError
from ..storage.sql.privileges import quoted
from ..storage.sql.tables import REVISIONS
from .alembic_config import HEAD, alone_with_alembic, config_of
from .faults import guarded
from .locks import TABLE_TURN, key_of
from .target import Target

BASE: Final = "base"
"""The name for the state before the first revision."""

_ORDER: Final = (BASE, *REVISIONS)


def sql(url: str | None = None, *, schema: str | None = None, revision: str = HEAD, from_revision: str = BASE) -> str:
    """Writes the SQL that takes tables from one revision to another, to be run by hand. Connects to no database.

    The script is one transaction. It fails and changes nothing if the tables are at another revision, and in PostgreSQL
    also if it does not get its locks in time. Later upgrades recognise what the script did.

    Args:
        url: The kind of database; None: ``SESSIONSTORE_DATABASE_URL``, else SQLite.
        schema: The PostgreSQL schema; None: ``SESSIONSTORE_SCHEMA``, else "sessionstore".
        revision: The revision to go to. A revision before ``from_revision`` takes revisions back.
        from_revision: The revision at which the tables are; "base": there are no tables.

    Raises:
        ConfigurationError: There is no such revision, or the two are the same.
    """
    target = Target.of(url, schema)
    start, goal = _known(from_revision), _known(revision)
    if start == goal:
        raise ConfigurationError(f"the script would go from revision {start} to the same revision; name two revisions")
    return guarded(target, "writing the script", lambda: between(target, start, goal))


def between(target: Target, start: str, goal: str, *, part: bool = False) -> str:
    """Writes the script.

    Args:
        target: The kind of database, and the schema.
        start: The revision at which the tables are.
        goal: The revision to go to.
        part: Whether the script is part of another script, which begins and ends the transaction.
    """
    script = io.StringIO()
    ahead = _ORDER.index(start) < _ORDER.index(goal)
    with alone_with_alembic():
        config = config_of(target, output_buffer=script)
        config.attributes["part"] = part
        config.attributes["preparing"] = _preparing(target, start, goal, part=part)
        (command.upgrade if ahead else command.downgrade)(config, f"{start}:{goal}", sql=True)
    # A database whose revisions were all taken back still has its version table.
    create = f"CREATE TABLE {_version_table(target)} ("
    return script.getvalue().replace(create, create.replace("TABLE", "TABLE IF NOT EXISTS"), 1)


def _known(revision: str) -> str:
    known = REVISIONS[-1] if revision == HEAD else revision
    if known not in _ORDER:
        raise ConfigurationError(f"there is no such revision; name one that this version knows: {', '.join(_ORDER)}")
    return known


def _preparing(target: Target, start: str, goal: str, *, part: bool) -> list[str]:
    if target.schema is None:
        return _check_sqlite(target, start, goal)
    # Short waits, because all other users of a table wait behind a migration that waits for its lock.
    limits = [] if part else [f"SET LOCAL lock_timeout = '{TABLE_TURN:g}s'", "SET LOCAL statement_timeout = 0"]
    lock = f"SELECT pg_catalog.pg_advisory_xact_lock({key_of(target.schema)})"
    made = [_make_schema(target.schema)] if start == BASE else []
    return [*limits, lock, _check_postgresql(target, target.schema, start, goal), *made]


def _check_postgresql(target: Target, schema: str, start: str, goal: str) -> str:
    table = _version_table(target)
    read = f"SELECT coalesce(min(version_num), '{BASE}') FROM {table}"  # noqa: S608  # the name is quoted
    trouble = f"this script goes from revision {start} to {goal}, but the tables in schema {schema} are at revision %"
    return f"""
DO $sessionstore$
DECLARE
    found text := '{BASE}';
BEGIN
    IF pg_catalog.to_regclass({_literal(table)}) IS NOT NULL THEN
        EXECUTE {_literal(read)} INTO found;
    END IF;
    IF found <> '{start}' THEN
        RAISE EXCEPTION {_literal(trouble)}, found;
    END IF;
END
$sessionstore$
""".strip()


def _make_schema(schema: str) -> str:
    # CREATE SCHEMA IF NOT EXISTS needs the right to create schemas even if the schema exists.
    return f"""
DO $sessionstore$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = {_literal(schema)}) THEN
        EXECUTE {_literal(f"CREATE SCHEMA {quoted(schema)}")};
    END IF;
END
$sessionstore$
""".strip()  # the name is quoted


def _check_sqlite(target: Target, start: str, goal: str) -> list[str]:
    # SQLite has no statement that fails on a condition, but a constraint does.
    if start == BASE:
        found, wanted = "SELECT count(*) FROM sqlite_master WHERE name = 'sessions'", "0"
    else:
        found = f"SELECT max(version_num) FROM {target.version_table}"  # noqa: S608  # the name is ours
        wanted = f"'{start}'"
    name = quoted(f"this script goes from revision {start} to {goal}, but the tables are at another revision")
    return [
        f"CREATE TEMP TABLE sessionstore_start (found CONSTRAINT {name} CHECK (found IS {wanted}))",
        f"INSERT INTO sessionstore_start {found}",
        "DROP TABLE sessionstore_start",
    ]


def _version_table(target: Target) -> str:
    return target.version_table if target.schema is None else f"{quoted(target.schema)}.{target.version_table}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
