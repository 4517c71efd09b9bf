"""What the tables consist of by name: columns, indexes and triggers, as they are needed and as they are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import MetaData, TextClause, bindparam, text
from sqlalchemy.sql.selectable import TextualSelect
from sqlalchemy.types import Text

from .tables import deletions_table, items_table, sessions_table

Part: TypeAlias = tuple[str, str, str]
"""The table, the kind and the name of a column, an index or a trigger."""

READ_ONLY: Final[Part] = ("", "setting", "read only")
"""The part that a server adds which takes no writes from this role."""

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
    """Selects the parts of our tables that are there, and READ_ONLY; None: in SQLite."""
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
        metadata = MetaData()
        tables = [sessions_table(metadata, sqlite=sqlite), items_table(metadata)]
        if not sqlite:
            tables.append(deletions_table(metadata))
        self._needed: list[Part] = [
            *((table.name, "column", column.name) for table in tables for column in table.columns),
            *((table.name, "index", str(index.name)) for table in tables for index in table.indexes),
            *(("sessions", "trigger", name) for name in _TRIGGERS[sqlite]),
        ]

    def problems(self, found: Iterable[Sequence[Any]]) -> Iterator[str]:
        """Names what is missing."""
        there = {tuple(row) for row in found}
        tables = {place for place, _, _ in there}
        for table in dict.fromkeys(place for place, _, _ in self._needed):
            if table not in tables:
                yield f"the table {table!r} is missing"
        for place, kind, name in self._needed:
            if place in tables and (place, kind, name) not in there:
                yield f"the {kind} {name!r} of {place!r} is {_HOW[kind]}"


_HOW: Final = {"column": "missing", "index": "missing or invalid", "trigger": "missing or disabled"}
