"""Privileges: what each role has to be granted on the schema and its tables, and the SQL that grants it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from ...errors import StorageError
from ..records import Use
from .tables import DELETIONS, ITEMS, VERSION_TABLE

MISSING_GRANT: Final = "42501"
"""The SQLSTATE insufficient_privilege."""

_SESSIONS: Final = "sessions"
_PLAIN: Final = re.compile("[a-z_][a-z0-9_]*")


class Need(NamedTuple):
    """A privilege that a role needs.

    Attributes:
        table: The table; "": the schema itself.
        privilege: The privilege, as GRANT names it.
        columns: The columns, if the privilege on these is enough. For UPDATE, one of them is enough. (): all columns.
    """

    table: str
    privilege: str
    columns: tuple[str, ...] = ()


_IN: Final = Need("", "USAGE")
_REVISION: Final = Need(VERSION_TABLE, "SELECT")

NEEDS: Final[Mapping[Use, Sequence[Need]]] = {
    "service": (
        _IN,
        *(
            Need(table, privilege)
            for table in (_SESSIONS, ITEMS, DELETIONS)
            for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE")
        ),
        _REVISION,
    ),
    # The reaper reads no state and no id. PostgreSQL locks a row only for a role that may update one of its columns, so
    # the reaper may update the least important one. Triggers delete the items, with the rights of the tables' owner.
    "reaper": (
        _IN,
        Need(_SESSIONS, "SELECT", ("ctid", "expires_at", "item_count")),
        Need(_SESSIONS, "UPDATE", ("last_accessed_at",)),
        Need(_SESSIONS, "DELETE"),
        Need(DELETIONS, "SELECT"),
        Need(DELETIONS, "UPDATE", ("deleted_at",)),
        Need(DELETIONS, "DELETE"),
        _REVISION,
    ),
    # This role needs no receipts. It may read them, so that it can back up the whole schema.
    "readonly": (_IN, *(Need(table, "SELECT") for table in (_SESSIONS, ITEMS, DELETIONS)), _REVISION),
}
"""The privileges that a role needs for each use. Those of one table follow each other."""


def _values() -> str:
    return ", ".join(
        f"('{use}', {place}, '{need.table}', '{need.privilege}', CAST('{{{','.join(need.columns)}}}' AS text[]))"
        for use, needs in NEEDS.items()
        for place, need in enumerate(needs)
    )


# Reads only the catalogue, so every role may run it. A privilege on all columns counts as one on the table. A missing
# table counts as granted, because the check of the revision reports it.
_LACKING: Final = """
WITH need (use, place, name, privilege, columns) AS (VALUES {needs})
SELECT CAST(current_user AS text) AS role, CAST(need.place AS bigint) AS place
FROM need
JOIN pg_catalog.pg_namespace AS n ON n.nspname = :schema
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = need.name AND need.name <> ''
WHERE need.use = :use AND NOT coalesce(
    CASE
        WHEN need.name = '' THEN pg_catalog.has_schema_privilege(n.oid, need.privilege)
        WHEN need.privilege = 'DELETE' THEN pg_catalog.has_table_privilege(c.oid, need.privilege)
        WHEN need.privilege = 'UPDATE' AND pg_catalog.cardinality(need.columns) > 0
            THEN pg_catalog.has_any_column_privilege(c.oid, need.privilege)
        ELSE NOT EXISTS (
            SELECT FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND NOT a.attisdropped
            AND CASE
                WHEN pg_catalog.cardinality(need.columns) = 0 THEN a.attnum > 0
                ELSE CAST(a.attname AS text) = ANY (need.columns)
            END
            AND NOT pg_catalog.has_column_privilege(c.oid, a.attnum, need.privilege)
        )
    END,
    true
)
ORDER BY need.place
"""
LACKING: Final = _LACKING.replace("{needs}", _values())
"""The query for the privileges that this role lacks for a use: the name of the role, and the index of each privilege.

Parameters: ``schema`` and ``use``.
"""


def grants(needs: Iterable[Need], *, schema: str, role: str) -> Iterator[str]:
    """Writes the GRANT statements for a role, one for the schema and one for each table, each without a semicolon."""
    for table, needed in groupby(needs, key=lambda need: need.table):
        privileges = ", ".join(_privilege(need) for need in needed)
        target = f"TABLE {quoted(schema)}.{quoted(table)}" if table else f"SCHEMA {quoted(schema)}"
        yield f"GRANT {privileges} ON {target} TO {quoted(role)}"


def quoted(name: str) -> str:
    """Writes a name as SQL, in quotes where it needs them."""
    # Not by SQLAlchemy's preparer, which doubles each "%" for the driver.
    if _PLAIN.fullmatch(name) and name not in RESERVED_WORDS:
        return name
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def missing_grants(needs: Sequence[Need], *, schema: str, role: str) -> StorageError:
    """Makes the error for a role that lacks these privileges: it names them, and the GRANT statements to run."""
    lacking = ", ".join(
        f"{'/'.join(need.privilege for need in needed)} on {table or 'the schema'}"
        for table, needed in ((table, list(found)) for table, found in groupby(needs, key=lambda need: need.table))
    )
    remedy = " ".join(f"{grant};" for grant in grants(needs, schema=schema, role=role))
    error = StorageError(
        f"the role {role!r} lacks {lacking} in schema {schema!r}; let the owner of the tables run `{remedy}`",
        code=MISSING_GRANT,
    )
    error.refused = False  # A part of the batch would be refused as well.
    return error


def may_not_connect(role: str | None, database: str | None) -> StorageError:
    """Makes the error for a role that may not connect to a database; None: the URL has no such name."""
    who, where = (None if name is None else quoted(name) for name in (role, database))
    return StorageError(
        f"the role {'' if role is None else f'{role!r} '}may not connect to the database; let its owner run "
        f"`GRANT CONNECT ON DATABASE {where or '...'} TO {who or '...'};`",
        code=MISSING_GRANT,
    )


def _privilege(need: Need) -> str:
    columns = f" ({', '.join(need.columns)})" if need.columns else ""
    return need.privilege + columns
