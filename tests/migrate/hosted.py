"""What a host's database has: its tables and the revisions that are noted in it."""

from __future__ import annotations

from typing import Any

from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database

from ..support.bystander import ask

HOSTED = [("0001",), *[(f"sessionstore_{REVISIONS[-1]}",)]]
_TABLES = """
    SELECT schemaname || '.' || tablename FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""


def tables_of(database: Database) -> list[str]:
    return [name for (name,) in ask(database, _TABLES)]


def versions_in(database: Database, table: str = "alembic_version") -> list[Any]:
    return ask(database, f"SELECT version_num FROM {table} ORDER BY 1")
