"""Privileges: what each role has to be granted on the schema and its tables, and the SQL that grants it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from ...errors import StorageError
from .tables import DELETIONS, ITEMS, VERSION_TABLE

Use: TypeAlias = Literal["service", "reaper", "readonly"]
"""What a role is for: all calls; the reaper; calls that only read, such as `sessionstore list` and `stats`."""

USES: Final[tuple[Use, ...]] = get_args(Use)

MISSING: Final = "42501"
"""The SQLSTATE insufficient_privilege."""

_SESSIONS: Final = "sessions"
_PLAIN: Final = re.compile("[a-z_][a-z0-9_]*")


class Need(NamedTuple):
    """A privilege that a role needs.

    Attributes:
        table: The table; "": the schema itself.
        privilege: The privilege, as GRANT names it.
        columns: The columns, if the privilege on them is enough. Of UPDATE, any one is enough; (): all columns.
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
    # The reaper reads no state and no id. PostgreSQL locks a row only for a role that may update one of its columns:
    # these are the ones that decide nothing. Items are deleted by triggers, with the rights of the tables' owner.
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
    # Receipts hold no state. With them, this role can also take backups of the whole schema.
    "readonly": (_IN, *(Need(table, "SELECT") for table in (_SESSIONS, ITEMS, DELETIONS)), _REVISION),
}
"""What a role needs for each use. Needs of one table stand together."""


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
        code=MISSING,
    )
    error.refused = False  # A part of the batch would be refused as well.
    return error


def _privilege(need: Need) -> str:
    columns = f" ({', '.join(need.columns)})" if need.columns else ""
    return need.privilege + columns
