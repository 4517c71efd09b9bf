"""What the first call looks at: whether the tables are those that this version works with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Column, MetaData, String, Table, select

from ... import config
from ...errors import SchemaError
from .connections import Lease
from .dialect import Backend
from .prepared import Prepared
from .tables import REVISIONS, VERSION_TABLE

_WANTED: Final = REVISIONS[-1]


class Look(NamedTuple):
    """What is there.

    Attributes:
        revision: The revision that the tables are at; None: there is none.
        table: Whether the table of sessions is there.
    """

    revision: str | None
    table: bool


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
        version = Table(VERSION_TABLE, MetaData(schema=self._schema), Column("version_num", String))
        self._revision = Prepared(select(version.c.version_num), backend.driver)
        self._relations = Prepared(backend.relations(self._schema), backend.driver)

    async def look(self, lease: Lease) -> Look:
        """Reads what is there."""
        # Asked of the catalogue: in SQLite, a missing table has no error code of its own.
        names = {name for (name,) in await self._relations.fetch(lease.driver, {})}
        table = self._table.name in names
        if VERSION_TABLE not in names:
            return Look(None, table)
        revisions = await self._revision.fetch(lease.driver, {})
        return Look(revisions[0][0] if revisions else None, table)

    def refusal(self, seen: Look) -> SchemaError | None:
        """Why this version cannot work with what is there; None: it can."""
        return None if seen.revision == _WANTED else self._wrong_revision(seen.revision)

    def missing(self, seen: Look) -> SchemaError | None:
        """Why a call missed a table or a column; None: the tables are as they should be."""
        if seen.revision != _WANTED:
            return self._wrong_revision(seen.revision)
        if seen.table:
            return None
        return SchemaError(
            f"{self._place} is at revision {seen.revision}, but its table 'sessions' is gone: restore it, or drop "
            f"{VERSION_TABLE!r} too and run `sessionstore migrate upgrade`",
            found=seen.revision,
            wanted=_WANTED,
        )

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
