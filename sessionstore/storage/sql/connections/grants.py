"""Finds out which privilege a role lacks, after the server refused a statement for want of one."""

from __future__ import annotations

from typing import Final

from ....errors import StorageError
from ...records import Use
from ..dialects.dialect import Backend
from ..drivers.prepared import Prepared
from ..privileges import NEEDS, missing_grants
from .lease import Lease

NEEDED_BY: Final[dict[bool, Use]] = {True: "service", False: "readonly"}
"""What a call needs, by whether it writes."""


class Grants:
    """The privileges of the role that a connection has.

    Args:
        schema: The PostgreSQL schema of the tables.
        backend: The database.
    """

    def __init__(self, schema: str | None, backend: Backend) -> None:
        self._schema = schema or ""
        lacking = backend.lacking(schema)
        self._lacking = None if lacking is None else Prepared(lambda: lacking, backend.driver)

    async def look(self, lease: Lease, use: Use) -> StorageError | None:
        """The error that names what the role lacks, and the GRANT to run; None: it lacks nothing."""
        if self._lacking is None:
            return None
        rows = await self._lacking.fetch(lease.driver, {"use": use})
        if not rows:
            return None
        needs = NEEDS[use]
        return missing_grants([needs[int(row[1])] for row in rows], schema=self._schema, role=str(rows[0][0]))
