"""The structure of the tables: the columns, indexes and triggers that are needed, compared with those that exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

from sqlalchemy import BigInteger, Integer, MetaData, Table, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.sql.selectable import TextualSelect
from sqlalchemy.types import Text

from ...errors import SchemaError
from .tables import REVISIONS, Duration, Instant, deletions_table, items_table, sessions_table

Part: TypeAlias = tuple[str, str, str]
"""The table, the kind and the name of a column, an index or a trigger."""

READ_ONLY: Final[Part] = ("", "setting", "read only")
"""Not a part of a table. A server that takes no writes from this role adds it to the parts that it lists."""

_POSTGRESQL: Final = """
WITH ours AS (
    SELECT c.oid, CAST(c.relname AS text) AS name
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname IN ('sessions', 'items', 'deletions')
)
SELECT ours.name AS place, CAST('column' AS text) AS kind, CAST(a.attname AS text) AS name
FROM ours JOIN pg_catalog.pg_attribute AS a ON a.attrelid = ours.oid AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT ours.name, 'index', CAST(c.relname AS text)
FROM ours JOIN pg_catalog.pg_index AS i ON i.indrelid = ours.oid AND i.indisvalid
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
UNION ALL
SELECT ours.name, 'trigger', CAST(t.tgname AS text)
FROM ours JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = ours.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
UNION ALL
SELECT '', 'setting', 'read only' WHERE pg_catalog.current_setting('transaction_read_only') = 'on'
"""
_SQLITE: Final = """
SELECT m.name AS place, 'column' AS kind, p.name AS name
FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS p WHERE m.type = 'table' AND m.name IN ('sessions', 'items')
UNION ALL
SELECT tbl_name, type, name FROM sqlite_master WHERE type IN ('index', 'trigger')
"""
_TRIGGERS: Final = {
    False: ("sessions_delete_items", "sessions_truncate_items", "sessions_replace_items"),
    True: ("sessions_delete_items", "sessions_replace_items", "sessions_reset_items"),
}


def parts(schema: str | None) -> TextualSelect:
    """Selects the existing parts of our tables in a schema (None: in SQLite), and READ_ONLY if it applies."""
    query: TextClause = (
        text(_SQLITE) if schema is None else text(_POSTGRESQL).bindparams(bindparam("schema", schema, type_=Text()))
    )
    return query.columns(place=Text(), kind=Text(), name=Text())


class Structure:
    """The parts that this version needs.

    Args:
        sqlite: Whether the database is SQLite.
    """

    def __init__(self, *, sqlite: bool) -> None:
        self._sqlite = sqlite
        self._tables = tables = _tables(REVISIONS[-1], sqlite=sqlite)
        self._needed: list[Part] = [
            *((table.name, "column", column.name) for table in tables for column in table.columns),
            *((table.name, "index", str(index.name)) for table in tables for index in table.indexes),
            *(("sessions", "trigger", name) for name in _TRIGGERS[sqlite]),
        ]

    def problems(self, found: Iterable[Sequence[Any]]) -> Iterator[str]:
        """Yields a description of each part that is missing."""
        there = {tuple(row) for row in found}
        tables = {place for place, _, _ in there}
        for table in dict.fromkeys(place for place, _, _ in self._needed):
            if table not in tables:
                yield f"the table {table!r} is missing"
        for place, kind, name in self._needed:
            if place in tables and (place, kind, name) not in there:
                yield f"the {kind} {name!r} of {place!r} is {_HOW[kind]}"

    def altered(self, found: Mapping[str, str], revision: str | None) -> Iterator[str]:
        """Yields a description of each column that is missing, or has a type with which our statements do not work.

        Args:
            found: The columns of each table, as "name type" with commas between.
            revision: The revision of the tables.
        """
        tables = _tables(revision, sqlite=self._sqlite) if revision in REVISIONS[:-1] else self._tables
        for table in tables:
            if table.name not in found:
                continue
            parted = (column.partition(" ") for column in found[table.name].split(","))
            there = {name: type_ for name, _, type_ in parted}
            for column in table.columns:
                fitting = _fitting(column.type, sqlite=self._sqlite)
                type_ = there.get(column.name)
                if type_ is None:
                    yield f"the column {column.name!r} of {table.name!r} is missing"
                elif type_ not in fitting:
                    yield f"the column {column.name!r} of {table.name!r} has the type {type_}, and not {fitting[0]}"


def not_whole(numbers: Mapping[str, object]) -> SchemaError:
    """Makes the error for a row whose columns hold other values than whole numbers."""
    name, value = next((name, value) for name, value in numbers.items() if type(value) is not int)
    return SchemaError(
        f"the column {name!r} of the table 'sessions' holds {type(value).__name__} and not whole numbers, because "
        "another program changed the type of the column; change it back with ALTER TABLE, then run "
        "`sessionstore migrate check`",
        found=REVISIONS[-1],
        wanted=REVISIONS[-1],
    )


@cache
def structure(*, sqlite: bool) -> Structure:
    """Returns the structure for a kind of database. All storages share it, because making it takes milliseconds."""
    return Structure(sqlite=sqlite)


@cache
def _tables(revision: str | None, *, sqlite: bool) -> Sequence[Table]:
    metadata = MetaData()
    tables = [sessions_table(metadata, sqlite=sqlite, revision=revision or REVISIONS[-1])]
    if revision == REVISIONS[-1]:
        tables.append(items_table(metadata))
    if not sqlite:
        tables.append(deletions_table(metadata))
    return tables


def _fitting(type_: object, *, sqlite: bool) -> Sequence[str]:
    """Returns the names of the types that a column may have. The migrations make the column with the first."""
    if sqlite:
        return ("INTEGER", "INT") if isinstance(type_, (Integer, Instant, Duration)) else ("TEXT",)
    return next(names for kind, names in _TYPES.items() if isinstance(type_, kind))


_TYPES: Final[Mapping[type[Any], Sequence[str]]] = {
    JSONB: ("jsonb",),
    JSON: ("json",),
    Instant: ("timestamp with time zone",),
    Duration: ("interval",),
    BigInteger: ("bigint",),
    Integer: ("integer", "bigint"),
    Text: ("text", "character varying"),
}
_HOW: Final = {"column": "missing", "index": "missing or invalid", "trigger": "missing or disabled"}
