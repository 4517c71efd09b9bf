"""What a schema consists of, as the database itself tells it, to compare two of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from sessionstore.testing.postgres import Database

from ..support.bystander import dsn

_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, collname, attcompression
    FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_collation l ON l.oid = a.attcollation
    WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
    ORDER BY c.relname, attnum
"""
_TABLES = """
    SELECT c.relname, c.reloptions, t.reloptions FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'r' ORDER BY c.relname
"""
_INDEXES = """
    SELECT pg_get_indexdef(indexrelid), indisprimary FROM pg_index JOIN pg_class c ON c.oid = indrelid
    WHERE relnamespace = to_regnamespace(%s) ORDER BY 1
"""
_TRIGGERS = """
    SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
    WHERE relnamespace = to_regnamespace(%s) AND NOT tgisinternal ORDER BY 1
"""
_FUNCTIONS = """
    SELECT pg_get_functiondef(oid), proacl::text FROM pg_proc WHERE pronamespace = to_regnamespace(%s) ORDER BY 1
"""
_QUERIES = (_COLUMNS, _TABLES, _INDEXES, _TRIGGERS, _FUNCTIONS)


def postgresql_catalogue(database: Database, schema: str = "sessionstore") -> list[list[tuple[Any, ...]]]:
    """Columns, tables, indexes, triggers and functions of a schema."""
    quoted = '"' + schema.replace('"', '""') + '"'
    with psycopg.connect(dsn(database.url)) as connection:
        return [connection.execute(query, (quoted,)).fetchall() for query in _QUERIES]


def sqlite_catalogue(path: Path) -> list[tuple[Any, ...]]:
    """Everything in a SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
