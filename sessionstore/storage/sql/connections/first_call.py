"""The check before the first call: whether this version works with the tables that are there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from math import inf
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

from sqlalchemy import Table

from .... import config
from ....errors import SchemaError
from ..revisions import PREVIOUS, only_adds
from ..structure import structure
from ..tables import DELETIONS, ITEMS, REVISIONS, VERSION_TABLE
from .catalogue import Catalogue
from .lease import Lease

_WANTED: Final = REVISIONS[-1]
_AGAIN_SECONDS: Final = 5.0
"""After how many seconds a storage on the previous revision looks again whether the tables were migrated."""


class Look(NamedTuple):
    """The state of the tables.

    Attributes:
        revision: The revision of the tables; None: there is none.
        gone: Which of the tables of sessions and items are missing.
        hidden: Our tables of which row level security may hide rows from this role.
        ruled: Our tables that have rules.
        altered: A description of each column that another program altered.
    """

    revision: str | None
    gone: Sequence[str]
    hidden: Sequence[str] = ()
    ruled: Sequence[str] = ()
    altered: Sequence[str] = ()


class FirstCall:
    """Looks at the tables before the first call runs, and again after a call found a table or a column missing.

    Attributes:
        place: The name of the tables' schema or file, for messages.
        option: The option of commands that names the schema; "": none is needed.

    Args:
        table: The table of sessions.
        catalogue: The statements that read the revision and list tables.
        file: The file of SQLite; None: the database is PostgreSQL.

    Attributes:
        settled: Whether no call has to look any more, because the tables have all that this version needs.
        previous: Whether the tables were at the previous revision at the last look.
    """

    def __init__(self, table: Table, catalogue: Catalogue, file: Path | None) -> None:
        self._table = table
        self.place = f"schema {table.schema!r}" if file is None else f"the SQLite file {str(file)!r}"
        self._schema = table.schema
        named = self._schema is not None and self._schema != config.DEFAULT_SCHEMA
        self.option = f" --schema {shlex.quote(self._schema)}" if self._schema and named else ""
        self._ours = {table.name, ITEMS, DELETIONS, VERSION_TABLE}
        self.settled = self.previous = False
        self._next_look = -inf
        self._structure = structure(sqlite=table.schema is None)
        self._revision = catalogue.revision
        self._relations = catalogue.relations

    async def look(self, lease: Lease) -> Look:
        """Reads the state of the tables."""
        # The catalogue is read first, because SQLite has no error code of its own for a missing table.
        rows = [row for row in await self._relations.fetch(lease.driver, {}) if row[0] in self._ours]
        hidden = sorted(row[0] for row in rows if row[1])
        ruled = sorted(row[0] for row in rows if row[2])
        if all(row[0] != VERSION_TABLE for row in rows):
            return Look(None, (), hidden, ruled)
        revisions = await self._revision.fetch(lease.driver, {})
        revision = revisions[0][0] if revisions else None
        needed = (self._table.name,) if revision == PREVIOUS else (self._table.name, ITEMS)
        gone = [name for name in needed if all(row[0] != name for row in rows)]
        altered = list(self._structure.altered({row[0]: row[3] for row in rows}, revision))
        return Look(revision, gone, hidden, ruled, altered)

    @property
    def due(self) -> bool:
        """Whether a call has to look before it runs."""
        return not self.settled and monotonic() >= self._next_look

    def note(self, seen: Look) -> None:
        """Remembers the revision of tables that this version works with, for the calls from now on."""
        self.previous = seen.revision == PREVIOUS
        self.settled = not self.previous
        self._next_look = monotonic() + _AGAIN_SECONDS

    def too_early(self) -> SchemaError:
        """Makes the error for a call that needs the newest revision, while the tables are at the previous one."""
        error = SchemaError(
            f"this call needs revision {_WANTED}, and {self.place} is at revision {PREVIOUS}; run "
            f"`sessionstore migrate upgrade{self.option}`",
            found=PREVIOUS,
            wanted=_WANTED,
        )
        error.refused = True
        return error

    def refusal(self, seen: Look) -> SchemaError | None:
        """Returns the error if this version cannot work with the tables; None: it can."""
        if seen.hidden or seen.ruled:
            return self._not_to_be_trusted(seen)
        if not _works(seen.revision):
            return self._wrong_revision(seen.revision)
        return None if seen.gone or not seen.altered else self._altered(seen)

    def missing(self, seen: Look) -> SchemaError | None:
        """Returns the error for a call that found a table or a column missing; None: the tables are complete."""
        if seen.hidden or seen.ruled:
            return self._not_to_be_trusted(seen)
        if not _works(seen.revision):
            return self._wrong_revision(seen.revision)
        if not seen.gone:
            return self._altered(seen) if seen.altered else None
        return SchemaError(
            f"{self.place} is at revision {seen.revision}, but its table {seen.gone[0]!r} is gone; restore the table, "
            f"or drop {VERSION_TABLE!r} too and run `sessionstore migrate upgrade{self.option}`",
            found=seen.revision,
            wanted=_WANTED,
        )

    def pending(self, seen: Look) -> SchemaError | None:
        """Returns the error if the tables have to be upgraded; None: they do not."""
        return self._wrong_revision(seen.revision) if seen.revision in REVISIONS[:-1] else None

    def _not_to_be_trusted(self, seen: Look) -> SchemaError:
        """Makes the error for tables in which sessions may be hidden from reads, or writes may be dropped."""
        if seen.hidden:
            text = (
                f"row level security hides rows of {_listed(seen.hidden)} in {self.place} from this role, so sessions "
                "that are there would read as missing; run `ALTER TABLE ... DISABLE ROW LEVEL SECURITY`, or give the "
                "role BYPASSRLS or a policy FOR ALL USING (true)"
            )
        else:
            text = (
                f"{_listed(seen.ruled)} in {self.place} has rules (CREATE RULE), which replace writes by other "
                "statements; run `DROP RULE ... ON ...`, and use a trigger if a write has to do something more"
            )
        return SchemaError(text, found=seen.revision, wanted=_WANTED)

    def _altered(self, seen: Look) -> SchemaError:
        more = f", and {len(seen.altered) - 1} more columns" if len(seen.altered) > 1 else ""
        return SchemaError(
            f"another program changed the tables in {self.place}, which are at revision {seen.revision}: "
            f"{seen.altered[0]}{more}; undo the change with ALTER TABLE, then run "
            f"`sessionstore migrate check{self.option}`",
            found=seen.revision,
            wanted=_WANTED,
        )

    def _wrong_revision(self, found: str | None) -> SchemaError:
        place, option = self.place, self.option
        if found is None:
            text = f"{place} has no sessionstore tables; run `sessionstore migrate upgrade{option}`"
        elif found in REVISIONS:
            text = (
                f"{place} is at revision {found}, but this version of sessionstore needs {_WANTED}; run "
                f"`sessionstore migrate upgrade{option}`"
            )
        else:
            text = (
                f"{place} is at revision {found}, which this version of sessionstore does not know: it needs "
                f"{_WANTED}; upgrade sessionstore, or run `sessionstore migrate downgrade {_WANTED}{option}` with the "
                "newer version"
            )
        return SchemaError(text, found=found, wanted=_WANTED)


def _works(revision: str | None) -> bool:
    return revision in (_WANTED, PREVIOUS) or only_adds(revision)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
