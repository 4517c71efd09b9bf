"""Filters for the autogenerate of a host's Alembic, which otherwise proposes to drop our tables.

The filters recognise our tables by name and columns, in any schema. So a host may have a table ``sessions`` of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alembic import context
from sqlalchemy import Table, inspect

from ..storage.sql.tables import DELETIONS, ITEMS, SESSIONS, VERSION_TABLE

_COLUMNS: Final = {
    SESSIONS: frozenset({"namespace", "session_id", "state", "origin", "owner_id", "version", "writes", "keys"}),
    ITEMS: frozenset({"namespace", "session_id", "log", "position", "item", "item_id", "write_id"}),
    DELETIONS: frozenset({"id", "deleted_at"}),
    VERSION_TABLE: frozenset({"version_num"}),
}
"""The columns by which our tables are told from other tables of the same name."""

_ROUTINES: Final = frozenset(
    {
        "sessions_delete_items",
        "sessions_truncate_items",
        "sessions_replace_items",
        "sessions_reset_items",
    }
)
"""Our triggers and their functions, which extensions of Alembic compare."""


def include_object(object: Any, name: str | None, type_: str, reflected: bool, compare_to: Any) -> bool:  # noqa: A002
    """Whether an object is none of ours. For ``context.configure(include_object=...)`` in a host's env.py.

    A host with a function of its own combines both: ``lambda *of: include_object(*of) and own(*of)``.
    """
    if _bare(name) in _ROUTINES:
        return False
    table = object if isinstance(object, Table) else getattr(object, "table", None)
    return not (isinstance(table, Table) and _ours(table.name, {it.name: it.type for it in table.columns}))


def include_name(name: str | None, type_: str, parent_names: Mapping[str, Any]) -> bool:
    """Whether a name in the database is not that of one of our tables. For ``context.configure(include_name=...)``.

    Alembic then does not even read our tables. A host with a function of its own combines both:
    ``lambda *of: include_name(*of) and own(*of)``.
    """
    if type_ != "table":
        return _bare(name) not in _ROUTINES
    if name not in _COLUMNS:
        return True
    columns = inspect(context.get_bind()).get_columns(name, schema=parent_names.get("schema_name"))
    return not _ours(name, {column["name"]: column["type"] for column in columns})


def _ours(name: str, types: Mapping[str, Any]) -> bool:
    if not _COLUMNS.get(name, {""}) <= types.keys():
        return False
    # A host may have a table of deletions with the same columns. In our table, the collation of the ids is "C".
    return name != DELETIONS or (len(types) == 2 and getattr(types["id"], "collation", None) == "C")


def _bare(name: str | None) -> str:
    """Returns the name of a function without its arguments."""
    return (name or "").partition("(")[0]
