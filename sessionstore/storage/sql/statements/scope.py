"""The filter of a listing or a clearing: its conditions in SQL, and their parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, Text, bindparam

from ... import Key, Place

_LAST_BEFORE_SURROGATES = 0xD7FF
_FIRST_AFTER_SURROGATES = "\ue000"


@dataclass(frozen=True, slots=True)
class Scope:
    """A filter on sessions.

    Attributes:
        namespace: Only sessions of this namespace; None: of all.
        prefix: Only sessions whose ids start with this text.
        owner_id: Only sessions of this owner; None: of all.
        after: Only sessions after this place in the listing; None: all.
    """

    namespace: str | None = None
    prefix: str = ""
    owner_id: str | None = None
    after: Key | Place | None = None

    def params(self) -> dict[str, Any]:
        """Returns the values of the parameters in conditions() and of the cursor."""
        after = (self.after.key if isinstance(self.after, Place) else self.after) or Key("", "")
        return {
            "namespace": self.namespace,
            "prefix": self.prefix,
            "prefix_end": prefix_end(self.prefix),
            "owner_id": self.owner_id,
            "after_namespace": after.namespace,
            "after_session_id": after.session_id,
            "after_updated_at": self.after.updated_at if isinstance(self.after, Place) else None,
        }

    def conditions(self, table: Table) -> list[ColumnElement[bool]]:
        """Returns the WHERE conditions. Ids compare by code point, so a prefix is a range of the primary key."""
        session_id = table.c.session_id
        conditions: list[ColumnElement[bool]] = []
        if self.namespace is not None:
            conditions.append(table.c.namespace == bindparam("namespace", type_=Text()))
        if self.prefix:
            conditions.append(session_id >= bindparam("prefix", type_=Text()))
        if prefix_end(self.prefix) is not None:
            conditions.append(session_id < bindparam("prefix_end", type_=Text()))
        if self.owner_id is not None:
            conditions.append(table.c.owner_id == bindparam("owner_id", type_=Text()))
        return conditions


def prefix_end(prefix: str) -> str | None:
    """Returns the first string, by code point, that sorts after every string with this prefix; None: there is none."""
    for length in range(len(prefix), 0, -1):
        point = ord(prefix[length - 1])
        if point == _LAST_BEFORE_SURROGATES:
            return prefix[: length - 1] + _FIRST_AFTER_SURROGATES
        if point < 0x10FFFF:
            return prefix[: length - 1] + chr(point + 1)
    return None
