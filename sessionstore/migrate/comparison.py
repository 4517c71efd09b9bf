"""Comparison: how a database differs from what this version needs, and the command that mends the difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ..errors import SchemaError, SessionStoreError
from ..storage.sql.tables import REVISIONS


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison of a database with what this version needs.

    Attributes:
        found: The revision of the database; None: it has no tables of sessionstore, or the role may not read them.
        needed: The revision that this version needs.
        command: The command to run; None: nothing is wrong, or no command mends it.
        problems: What is wrong, in words; empty: nothing is wrong.
        error: The error that check() raises; None: nothing is wrong.
    """

    found: str | None
    needed: str = REVISIONS[-1]
    command: str | None = None
    problems: tuple[str, ...] = ()
    error: SessionStoreError | None = None

    @classmethod
    def failed(
        cls, error: SessionStoreError, *, command: str | None = None, problems: Iterable[str] = ()
    ) -> Comparison:
        """Returns the result of a comparison that ended in an error."""
        found = error.found if isinstance(error, SchemaError) else None
        return cls(found, command=command, problems=tuple(problems) or (str(error),), error=error)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


_WORDS: Final = {"add": "missing", "remove": "unexpected", "modify": "changed"}


def differences(found: Iterable[Any]) -> Iterator[str]:
    """Yields a description of each difference that Alembic found."""
    for each in found:
        # Alembic reports the changes of one column as a list.
        change = each[0] if isinstance(each, list) else each
        kind, _, what = str(change[0]).partition("_")
        parts = (getattr(part, "name", part) for part in change[1:])
        names = [part for part in parts if isinstance(part, str)]
        name = ".".join(names[-2:] if "column" in what else names[-1:])
        if kind == "modify":
            table, column = change[2], change[3]
            name = f"{table}.{column}"
        yield f"{_WORDS.get(kind, kind)} {what.replace('_', ' ')}: {name}"
