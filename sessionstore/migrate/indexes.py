"""Builds indexes CONCURRENTLY, while the tables are in use, and rebuilds indexes whose build was interrupted.

Released revisions import ``create_index_concurrently`` and ``drop_index_concurrently``, so these two never change.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any, Final

from alembic import op
from sqlalchemy import Connection, TextClause, bindparam, text
from sqlalchemy import String as Text
from sqlalchemy.dialects.postgresql import ARRAY

from .target import Target

_INVALID: Final = text("""
    SELECT index.relname
    FROM pg_catalog.pg_index
    JOIN pg_catalog.pg_class AS index ON index.oid = indexrelid
    JOIN pg_catalog.pg_class AS relation ON relation.oid = indrelid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
    WHERE NOT indisvalid AND namespace.nspname = :schema AND relation.relname = ANY (:tables)
    ORDER BY 1
""").bindparams(bindparam("tables", type_=ARRAY(Text)))

_REMAINS: Final = re.compile(r"_cc(new|old)\d*")
"""The suffix that REINDEX CONCURRENTLY gives to its copy of an index. An interrupted run leaves an invalid copy."""

_logger = logging.getLogger(__name__.rpartition(".")[0])


def create_index_concurrently(
    name: str,
    table: str,
    columns: Sequence[str | TextClause],
    *,
    schema: str | None = None,
    unique: bool = False,
    where: TextClause | None = None,
) -> None:
    """Builds an index in a revision, while other transactions write the table. In SQLite, the table is locked.

    Commits what the revision did before, so the revision must do nothing else. An invalid index of this name, which an
    interrupted attempt left, is dropped first. A valid index of this name stays: the attempt ended after its build.
    """
    options: dict[str, Any] = {"schema": schema, "unique": unique}
    context = op.get_context()
    if context.dialect.name == "sqlite":
        op.create_index(name, table, [*columns], sqlite_where=where, **options)
        return
    with context.autocommit_block():
        if context.as_sql or not _is_valid(op.get_bind(), schema, name):
            op.drop_index(name, table, schema=schema, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, table, [*columns], postgresql_concurrently=True, postgresql_where=where, **options)


def drop_index_concurrently(name: str, table: str, *, schema: str | None = None) -> None:
    """Drops an index in a revision, while other transactions write the table. Commits what the revision did before."""
    context = op.get_context()
    if context.dialect.name == "sqlite":
        op.drop_index(name, table, schema=schema)
        return
    with context.autocommit_block():
        op.drop_index(name, table, schema=schema, if_exists=True, postgresql_concurrently=True)


def invalid_indexes(connection: Connection, target: Target) -> list[str]:
    """Returns the invalid indexes of our tables. PostgreSQL updates an invalid index, but does not read it."""
    if target.schema is None:
        return []
    tables = target.metadata().tables.values()
    found = connection.scalars(_INVALID, {"schema": target.schema, "tables": [table.name for table in tables]})
    ours = {str(index.name) for table in tables for index in table.indexes} | {f"{table.name}_pkey" for table in tables}
    return [name for name in found if name in ours or _original(name) in ours]


def rebuild_invalid(connection: Connection, target: Target) -> None:
    """Rebuilds the invalid indexes of our tables, while other transactions write the tables."""
    connection.rollback()  # Alembic leaves a transaction open in which it only read
    with connection.begin():
        names = invalid_indexes(connection, target)
    if not names:
        return
    connection = connection.execution_options(isolation_level="AUTOCOMMIT")
    quote = connection.dialect.identifier_preparer.quote
    for name in names:
        _logger.warning("rebuilding the index %s, whose earlier build was interrupted", name, extra={"index": name})
        full = f"{quote(str(target.schema))}.{quote(name)}"
        if _original(name) is not None:
            connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {full}")
        else:
            connection.exec_driver_sql(f"REINDEX INDEX CONCURRENTLY {full}")


def _original(name: str) -> str | None:
    """Returns the index that REINDEX CONCURRENTLY made this copy of; None: the index is no such copy."""
    found = _REMAINS.search(name)
    return name[: found.start()] if found is not None and found.end() == len(name) else None


def _is_valid(connection: Connection, schema: str | None, name: str) -> bool:
    quote = connection.dialect.identifier_preparer.quote
    full = f"{quote(schema)}.{quote(name)}" if schema else quote(name)
    valid = text("SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass(:name)")
    return bool(connection.scalar(valid, {"name": full}))
