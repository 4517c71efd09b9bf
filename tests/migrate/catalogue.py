"""What a schema consists of, as the database itself tells it, to compare two of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.postgres import Database

from ..support.bystander import ask

_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, collname, attcompression
    FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_collation l ON l.oid = a.attcollation
    WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND attnum > 0 ORDER BY c.relname, attnum
"""
_TABLES = """
    SELECT c.relname, c.reloptions, t.reloptions FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'r' ORDER BY c.relname
"""
_INDEXES = """
    SELECT pg_get_indexdef(indexrelid), indisprimary FROM pg_index JOIN pg_class c ON c.oid = indrelid
    WHERE relnamespace = to_regnamespace(%s) ORDER BY 1
"""


def postgresql_catalogue(database: Database, schema: str = "sessionstore") -> list[list[tuple[Any, ...]]]:
    """Columns, tables and indexes of a schema."""
    quoted = '"' + schema.replace('"', '""') + '"'
    return [ask(database, query, quoted) for query in (_COLUMNS, _TABLES, _INDEXES)]


def sqlite_catalogue(path: Path) -> list[tuple[Any, ...]]:
    """Everything in a SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
