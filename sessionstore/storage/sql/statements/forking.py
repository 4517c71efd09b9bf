"""The statements that copy a session with its items to a new key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Insert,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..dialects.dialect import Fields
from ..drivers.prepared import Statement
from .columns import state_version
from .creating import Ends
from .expiry import first_expiry, sliding
from .terms import KEY_FIELDS, Element, Terms, same_key

FORK: Final[Fields] = {
    **KEY_FIELDS,
    "source_namespace": Text(),
    "source_session_id": Text(),
    "until": BigInteger(),
    "owner_id": Text(),
    "version": BigInteger(),
    "entry": Text(),
}
"""The fields of a fork: the key of the copy, the key of the source, and the values of the copy."""

_UNTIL: Final = bindparam("until", type_=BigInteger())
_SOURCE: Final = (bindparam("source_namespace", type_=Text()), bindparam("source_session_id", type_=Text()))
_EMPTY: Final = literal_column("''", Text())
_KEPT: Final = (*KEY_FIELDS, "lost_appends")
"""The columns that stay when a copy replaces the row of an expired session. Lost appends must not land on the copy."""
_COPIED: Final = ("log", "position", "item", "item_id", "write_id", "created_at", "item_version")


class Forking:
    """Builds the statements that fork sessions.

    PostgreSQL copies row and items in one statement, which sees both as of one moment. SQLite copies them in two
    statements of one transaction, because a statement of SQLite can change only one table.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._table = terms.table
        self._items = terms.items if terms.has_items else None
        self._source = terms.table.alias("origin")

    def fork(self, batch: FromClause) -> Statement:
        """Copies the row; in PostgreSQL, also the items.

        Returns the copy. No row: there is no source, or the key of the copy is taken.
        """
        return self._row(batch) if self._terms.backend.one_writer else self._row_and_items(batch)

    def copy_items(self) -> Statement:
        """Copies the items, after the row."""
        key = [bindparam(name, type_=Text()).label(name) for name in KEY_FIELDS]
        return select(true()).where(false()) if self._items is None else self._copied(key, self._items, self._items)

    def _row(self, batch: FromClause) -> Statement:
        t = self._table
        names = list(self._values(batch))
        new = sqlite_insert(t).from_select(names, self._live_source(batch), include_defaults=False)
        upsert = new.on_conflict_do_update(
            index_elements=list(self._terms.key),
            set_={name: new.excluded[name] for name in names if name not in _KEPT},
            where=~self._terms.live(self._terms.now_once),
        )
        columns = self._terms.range_checked.document
        return upsert.returning(*columns, t.c.created_at.label("now"), false().label("due"), true().label("created"))

    def _row_and_items(self, batch: FromClause) -> Statement:
        t = self._table
        names = list(self._values(batch))
        source = self._live_source(batch, batch.c.now).cte("source")
        columns = self._terms.range_checked.document
        returned = (*columns, t.c.expires_at.label("ends"), t.c.deadline.label("until"), t.c.ttl.label("lives"))
        # As in a creation: an expired row is replaced if no other transaction holds it, and a missing row is inserted.
        free = self._terms.backend.locked(source, t, ~self._terms.live(source.c.now))
        changes = {name: free.c[name] for name in names if name not in _KEPT}
        changed = update(t).where(self._terms.matches(free)).values(changes)
        here = t.alias("here")
        absent = ~select(true()).select_from(here).where(same_key(here, source)).exists()
        missing = select(*(source.c[name] for name in names)).where(absent, self._terms.backend.short_lock_timeout())
        new = postgresql_insert(t).from_select(names, missing, include_defaults=False).on_conflict_do_nothing()
        written = union_all(
            select(changed.returning(*returned).cte("changed")), select(new.returning(*returned).cte("made"))
        ).cte("written")
        # The count makes PostgreSQL read the clock after the last row was written.
        ended = select(func.count().label("count"), self._terms.now.label("now")).select_from(written).cte("ended")
        due = func.coalesce(sliding(Ends(written), ended.c.now, written.c.lives).due, false(), type_=Boolean())
        copy = [written.c[str(column.key)] for column in columns]
        answer = select(*copy, ended.c.now, due.label("due"), true().label("created"))
        answer = answer.select_from(written.join(ended, true()))
        if self._items is None:
            return answer
        key = [written.c.namespace, written.c.session_id]
        return answer.add_cte(self._copied(key, self._items, self._items.join(written, true())).cte("copied"))

    def _live_source(self, batch: FromClause, *columns: Element) -> Select[Any]:
        s = self._source
        found = select(*(value.label(name) for name, value in self._values(batch).items()), *columns)
        return found.select_from(batch.join(s, and_(*_is_source(s.c)))).where(
            self._terms.live(batch.c.now, s), or_(batch.c.owner_id.is_(None), batch.c.owner_id == s.c.owner_id)
        )

    def _values(self, batch: FromClause) -> dict[str, Element]:
        """Builds the values of the copy's row."""
        s, backend, now = self._source, self._terms.backend, batch.c.now
        lifetime = backend.span(backend.readable(s.c.created_at), backend.readable(s.c.deadline))
        deadline = now + lifetime
        return {
            **{name: batch.c[name] for name in KEY_FIELDS},
            **{name: s.c[name] for name in ("state", "origin", "owner_id", "ttl")},
            "version": batch.c.version,
            "writes": _EMPTY,
            "keys": _EMPTY,
            **self._of_newest(batch),
            **dict.fromkeys(("created_at", "updated_at", "last_accessed_at"), now),
            "deadline": deadline,
            "expires_at": first_expiry(now, backend.bounded(s.c.ttl), deadline),
        }

    def _of_newest(self, batch: FromClause) -> dict[str, Element]:
        """Builds the values of the copy in the columns that the previous revision lacks."""
        s, i = self._source, self._items
        if i is None:
            return {}
        count = select(func.count()).select_from(i).where(*_is_source(i.c), _until(i.c.position)).scalar_subquery()
        return {
            "last_position": case((_until(s.c.last_position), s.c.last_position), else_=batch.c.until),
            "item_count": count,
            # If the copy replaces an expired session, a changed journal tells the trigger not to reset the counts.
            "appends": batch.c.entry,
            "lost_appends": _EMPTY,
            "state_version": state_version(s),
            "state_version_at": batch.c.version,
        }

    def _copied(self, key: Sequence[Element], i: Table, rows: FromClause) -> Insert:
        copies = select(*key, *(i.c[name] for name in _COPIED)).select_from(rows)
        return insert(i).from_select(
            ["namespace", "session_id", *_COPIED],
            copies.where(*_is_source(i.c), _until(i.c.position)),
            include_defaults=False,
        )


def _is_source(columns: Any) -> list[ColumnElement[bool]]:
    return [columns.namespace == _SOURCE[0], columns.session_id == _SOURCE[1]]


def _until(position: Element) -> ColumnElement[bool]:
    return or_(_UNTIL.is_(None), position <= _UNTIL)
