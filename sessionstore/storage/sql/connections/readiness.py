"""Readiness: whether the storage can be used as it is now, for startup and readiness probes."""

from __future__ import annotations

from typing import Final

from ....errors import SchemaError, SessionStoreError
from ...records import Use
from ..dialects.dialect import Backend
from ..faults import refused_access
from ..structure import READ_ONLY, structure
from ..tables import REVISIONS
from .catalogue import Catalogue
from .first_call import FirstCall
from .grants import Grants
from .lease import Lease

_SHOWN: Final = 3


class Readiness:
    """Looks at the privileges of the role, at the revision, and at columns, indexes and triggers.

    Args:
        backend: The database.
        catalogue: The statements that list columns, indexes and triggers.
        first_call: Looks at the revision.
        grants: Looks at the privileges.
    """

    def __init__(self, backend: Backend, catalogue: Catalogue, first_call: FirstCall, grants: Grants) -> None:
        self._backend = backend
        self._first_call = first_call
        self._grants = grants
        self._structure = structure(sqlite=backend.one_writer)
        self._parts = catalogue.parts

    async def look(self, lease: Lease, use: Use) -> SessionStoreError | None:
        """Returns the error if the storage cannot be used for this; None: it can."""
        if (lacking := await self._grants.look(lease, use)) is not None:
            return lacking
        seen = await self._first_call.look(lease)
        if (refusal := self._first_call.missing(seen) or self._first_call.pending(seen)) is not None:
            return refusal
        found = await self._parts.fetch(lease.driver, {})
        if problems := list(self._structure.problems(found)):
            return self._drift(seen.revision, problems)
        if use != "readonly" and READ_ONLY in {tuple(row) for row in found}:
            return refused_access(self._backend.name)
        return None

    async def try_to_write(self, lease: Lease) -> None:
        """Runs a DELETE of no row, because SQLite finds out only at a write whether it may write the file."""
        await self._backend.driver.command(lease.driver, "DELETE FROM sessions WHERE 0")

    def _drift(self, revision: str | None, problems: list[str]) -> SchemaError:
        more = f", and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        return SchemaError(
            f"another program changed the tables in {self._first_call.place}, which are at revision {revision}: "
            f"{'; '.join(problems[:_SHOWN])}{more}; restore what is missing, and run `sessionstore migrate check"
            f"{self._first_call.option}`",
            found=revision,
            wanted=REVISIONS[-1],
        )
