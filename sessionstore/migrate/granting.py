"""Writes the SQL that gives each role of a deployment the privileges that it needs."""

from __future__ import annotations

import os
from typing import Final

from .. import config
from ..errors import ConfigurationError
from ..ids import fault_of
from ..storage.records import USES, Use
from ..storage.sql.privileges import NEEDS
from ..storage.sql.privileges import grants as grants_of
from ..storage.sql.urls.url import read_url

_NOBODY: Final = ("public", "none")
"""Names that no role can have. `TO "public"` would grant to every role."""

_LONGEST: Final = 63
"""The longest name in bytes. PostgreSQL cuts longer names."""


def grants(
    url: str | None = None,
    *,
    schema: str | None = None,
    service: str | None = None,
    reaper: str | None = None,
    readonly: str | None = None,
) -> str:
    """Writes the GRANT statements for roles that exist. Connects to no database.

    Run the statements after each upgrade, as the owner of the tables. They may be run again.

    Args:
        url: The database, which must be PostgreSQL, because SQLite has no roles.
        schema: The PostgreSQL schema of the tables; None: ``SESSIONSTORE_SCHEMA``, else "sessionstore".
        service: The role of the service, which reads and writes sessions.
        reaper: The role of the reaper, which deletes expired sessions and reads neither states nor items.
        readonly: The role of people and programs that only read.

    Raises:
        ConfigurationError: No role is named, a name is not allowed for roles, or the URL is one of SQLite.
    """
    given = url or os.environ.get("SESSIONSTORE_DATABASE_URL")
    if given and read_url(config.database_url(given), synchronous=True).backend == "sqlite":
        raise ConfigurationError("SQLite has no roles; limit who may read and write the file and its directory instead")
    named = dict(zip(USES, (service, reaper, readonly), strict=True))
    roles: dict[Use, str] = {use: _checked(role) for use, role in named.items() if role is not None}
    if not roles:
        raise ConfigurationError("name at least one role: --service, --reaper or --readonly")
    where = config.schema_name(schema)
    return "".join(
        f"-- sessionstore: the role of {_WHOSE[use]}\n"
        + "".join(f"{grant};\n" for grant in grants_of(NEEDS[use], schema=where, role=role))
        for use, role in roles.items()
    )


_WHOSE: Final = {"service": "the service", "reaper": "the reaper", "readonly": "those who only read"}


def _checked(role: str) -> str:
    fault = fault_of(role)
    if not fault and len(role.encode()) > _LONGEST:
        fault = f"is longer than {_LONGEST} bytes; give a shorter name"
    if not fault and role in _NOBODY:
        fault = "is reserved by PostgreSQL; give another name"
    if fault:
        raise ConfigurationError(f"the role {ascii(role)[:80]} {fault}")
    return role
