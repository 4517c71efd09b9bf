"""Indexes of tables that are in use: built CONCURRENTLY by revisions, and rebuilt where a build did not end.

Revisions import ``create_index_concurrently`` and ``drop_index_concurrently``: what these two do never changes.
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
"""What REINDEX CONCURRENTLY appends to the name of an index, of which it leaves an invalid copy if it does not end."""

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
    """Builds an index in a revision, while others write the table. SQLite builds it as any other.

    Commits what the revision did before, so the revision does nothing else. An index of this name that an earlier
    attempt left invalid is dropped first. One that is valid is left: the attempt was killed after it was built.
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
    """Drops an index in a revision, while others write the table. Commits what the revision did before."""
    context = op.get_context()
    if context.dialect.name == "sqlite":
        op.drop_index(name, table, schema=schema)
        return
    with context.autocommit_block():
        op.drop_index(name, table, schema=schema, if_exists=True, postgresql_concurrently=True)


def invalid_indexes(connection: Connection, target: Target) -> list[str]:
    """The indexes of our tables that are invalid: PostgreSQL keeps them up to date, and does not read them."""
    if target.schema is None:
        return []
    tables = target.metadata().tables.values()
    found = connection.scalars(_INVALID, {"schema": target.schema, "tables": [table.name for table in tables]})
    ours = {str(index.name) for table in tables for index in table.indexes} | {f"{table.name}_pkey" for table in tables}
    return [name for name in found if name in ours or _original(name) in ours]


def rebuild_invalid(connection: Connection, target: Target) -> None:
    """Rebuilds the invalid indexes of our tables, while others write them."""
    connection.rollback()  # Alembic leaves a transaction open in which it only read
    with connection.begin():
        names = invalid_indexes(connection, target)
    if not names:
        return
    connection = connection.execution_options(isolation_level="AUTOCOMMIT")
    quote = connection.dialect.identifier_preparer.quote
    for name in names:
        _logger.warning("rebuilding the index %s, of which an earlier build did not end", name, extra={"index": name})
        full = f"{quote(str(target.schema))}.{quote(name)}"
        if _original(name) is not None:
            connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {full}")
        else:
            connection.exec_driver_sql(f"REINDEX INDEX CONCURRENTLY {full}")


def _original(name: str) -> str | None:
    """The index of which this one is a copy that REINDEX CONCURRENTLY left; None: it is no such copy."""
    found = _REMAINS.search(name)
    return name[: found.start()] if found is not None and found.end() == len(name) else None


def _is_valid(connection: Connection, schema: str | None, name: str) -> bool:
    quote = connection.dialect.identifier_preparer.quote
    full = f"{quote(schema)}.{quote(name)}" if schema else quote(name)
    valid = text("SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass(:name)")
    return bool(connection.scalar(valid, {"name": full}))
