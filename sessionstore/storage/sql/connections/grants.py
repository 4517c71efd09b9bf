"""Finds out which privilege a role lacks, after the server refused a statement for want of one."""

from __future__ import annotations

from typing import Final

from ....errors import StorageError
from ...records import Use
from ..privileges import NEEDS, missing_grants
from .catalogue import Catalogue
from .lease import Lease

NEEDED_BY: Final[dict[bool, Use]] = {True: "service", False: "readonly"}
"""The use whose privileges a call needs, by whether the call writes."""


class Grants:
    """The privileges of the role that a connection has.

    Args:
        schema: The PostgreSQL schema of the tables.
        catalogue: The statements that ask for privileges.
    """

    def __init__(self, schema: str | None, catalogue: Catalogue) -> None:
        self._schema = schema or ""
        self._lacking = catalogue.lacking

    async def look(self, lease: Lease, use: Use) -> StorageError | None:
        """Returns the error that names the missing privileges and the GRANT to run; None: the role lacks nothing."""
        if self._lacking is None:
            return None
        rows = await self._lacking.fetch(lease.driver, {"use": use})
        if not rows:
            return None
        needs = NEEDS[use]
        return missing_grants([needs[int(row[1])] for row in rows], schema=self._schema, role=str(rows[0][0]))
