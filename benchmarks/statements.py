"""The SQL that the library sends, taken from its provider, for those who are to send exactly the same without it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from sessionstore.storage import Summary
from sessionstore.storage.journal import entry
from sessionstore.storage.sql import SqlStorageProvider
from sessionstore.storage.sql.drivers.prepared import Prepared
from sessionstore.storage.sql.statements import rows

from .contestant import NAMESPACE

# Where a row has them: it begins with the key, which is the first field of a summary and two columns.
STATE: Final[int] = rows.STATE
_AS_READ: Final[Mapping[str, int]] = {name: Summary._fields.index(name) + 1 for name in ("version", "last_write")}

_NAMELESS: Final = entry("--------", 1)
NOTED: Final[Mapping[str, Any]] = {"count": 1, "write": _NAMELESS, "keys": None, "keys_read": None, "state_version": 1}
"""What a write notes of itself: one update without a name."""


@dataclass(frozen=True)
class Sql:
    """One statement, with numbered parameters, and their names in the order of their numbers."""

    text: str
    order: Sequence[str]
    constants: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, prepared: Prepared) -> Sql:
        compiled = prepared.compiled
        assert compiled.order is not None
        return cls(compiled.sql, compiled.order, compiled.constants)

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The parameters in the order of their numbers, with those that are the same in each run."""
        return [self.constants[name] if name in self.constants else parameters[name] for name in self.order]

    @cached_property
    def named(self) -> str:
        """The statement as psycopg is usually given one."""
        return self._with("%({})s", self.text.replace("%", "%%"))

    def for_pgbench(self) -> str:
        """The statement with pgbench's variables; what the time is, the database shall know."""
        text = self._with(":{}", self.text.replace("\n", " "))
        text = re.sub(r":(now|keys_read|keys)\b", "NULL", text).replace(":state_version", "1")
        return text.replace(":write", f"'{_NAMELESS}'")

    def _with(self, parameter: str, text: str) -> str:
        return re.sub(r"\$(\d+)", lambda found: parameter.format(self.order[int(found[1]) - 1]), text)


@dataclass(frozen=True)
class LibrarySql:
    """The statements of one session: get_session() sends the first, update_session() the first and the second."""

    get: Sql
    update: Sql
    get_locked: Sql

    @classmethod
    def of(cls, url: str, schema: str) -> LibrarySql:
        """The statements for a schema; nothing is connected to."""
        statements = SqlStorageProvider.from_url(url, schema=schema)._statements
        return cls(Sql.of(statements.get.one), Sql.of(statements.update.one), Sql.of(statements.get_locked.one))


def key(session: str) -> dict[str, Any]:
    """The parameters that name a session."""
    return {"namespace": NAMESPACE, "session_id": session}


def as_read(row: Sequence[Any]) -> dict[str, Any]:
    """The parameters by which a write names what was read."""
    return {name: row[at] for name, at in _AS_READ.items()}
