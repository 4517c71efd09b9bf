"""What the first call looks at: whether the tables are those that this version works with."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Column, MetaData, String, Table, select

from .... import config
from ....errors import SchemaError
from ..dialects.dialect import Backend
from ..drivers.prepared import Prepared
from ..revisions import only_adds
from ..tables import DELETIONS, REVISIONS, VERSION_TABLE
from .lease import Lease

_WANTED: Final = REVISIONS[-1]


class Look(NamedTuple):
    """What is there.

    Attributes:
        revision: The revision that the tables are at; None: there is none.
        table: Whether the table of sessions is there.
        hidden: Our tables of which row level security may hide rows from this role.
        ruled: Our tables that have rules.
    """

    revision: str | None
    table: bool
    hidden: Sequence[str] = ()
    ruled: Sequence[str] = ()


class FirstCall:
    """Looks at the tables before the first call runs, and again where a call missed one of them.

    Args:
        table: The table of sessions.
        backend: The database.
        file: Of SQLite.
    """

    def __init__(self, table: Table, backend: Backend, file: Path | None) -> None:
        self._table = table
        self._place = f"schema {table.schema!r}" if file is None else f"the SQLite file {str(file)!r}"
        self._schema = table.schema
        self._ours = {table.name, DELETIONS, VERSION_TABLE}
        version = Table(VERSION_TABLE, MetaData(schema=self._schema), Column("version_num", String))
        self._revision = Prepared(lambda: select(version.c.version_num), backend.driver)
        self._relations = Prepared(lambda: backend.relations(self._schema), backend.driver)

    async def look(self, lease: Lease) -> Look:
        """Reads what is there."""
        # Asked of the catalogue: in SQLite, a missing table has no error code of its own.
        rows = [row for row in await self._relations.fetch(lease.driver, {}) if row[0] in self._ours]
        table = any(row[0] == self._table.name for row in rows)
        hidden = sorted(name for name, hides, _ in rows if hides)
        ruled = sorted(name for name, _, has_rules in rows if has_rules)
        if all(row[0] != VERSION_TABLE for row in rows):
            return Look(None, table, hidden, ruled)
        revisions = await self._revision.fetch(lease.driver, {})
        return Look(revisions[0][0] if revisions else None, table, hidden, ruled)

    def refusal(self, seen: Look) -> SchemaError | None:
        """Why this version cannot work with what is there; None: it can."""
        if seen.hidden or seen.ruled:
            return self._not_to_be_trusted(seen)
        return None if _works(seen.revision) else self._wrong_revision(seen.revision)

    def missing(self, seen: Look) -> SchemaError | None:
        """Why a call missed a table or a column; None: the tables are as they should be."""
        if seen.hidden or seen.ruled:
            return self._not_to_be_trusted(seen)
        if not _works(seen.revision):
            return self._wrong_revision(seen.revision)
        if seen.table:
            return None
        return SchemaError(
            f"{self._place} is at revision {seen.revision}, but its table 'sessions' is gone: restore it, or drop "
            f"{VERSION_TABLE!r} too and run `sessionstore migrate upgrade`",
            found=seen.revision,
            wanted=_WANTED,
        )

    def _not_to_be_trusted(self, seen: Look) -> SchemaError:
        """Rows that are hidden would read as sessions that do not exist, and writes may not be kept."""
        if seen.hidden:
            text = (
                f"row level security hides rows of {_listed(seen.hidden)} in {self._place} from this role, so sessions "
                "that are there would read as missing; run `ALTER TABLE ... DISABLE ROW LEVEL SECURITY`, or give the "
                "role BYPASSRLS or a policy FOR ALL USING (true)"
            )
        else:
            text = (
                f"{_listed(seen.ruled)} in {self._place} has rules (CREATE RULE), which put something else in the "
                "place of what is written; run `DROP RULE ... ON ...`, and use a trigger for what is to be done besides"
            )
        return SchemaError(text, found=seen.revision, wanted=_WANTED)

    def _wrong_revision(self, found: str | None) -> SchemaError:
        place = self._place
        named = self._schema is not None and self._schema != config.DEFAULT_SCHEMA
        option = f" --schema {shlex.quote(self._schema)}" if self._schema and named else ""
        if found is None:
            text = f"{place} has no sessionstore tables; run `sessionstore migrate upgrade{option}`"
        elif found in REVISIONS:
            text = (
                f"{place} is at revision {found}, but {_WANTED} is wanted; run `sessionstore migrate upgrade{option}`"
            )
        else:
            text = (
                f"{place} is at revision {found}, which this version of sessionstore does not know: it wants "
                f"{_WANTED}; upgrade sessionstore, or run `sessionstore migrate downgrade {_WANTED}{option}` with the "
                "newer version"
            )
        return SchemaError(text, found=found, wanted=_WANTED)


def _works(revision: str | None) -> bool:
    return revision == _WANTED or only_adds(revision)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
