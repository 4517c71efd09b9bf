"""The statements that create sessions, and that set them whatever is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Text,
    case,
    false,
    func,
    literal_column,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..drivers.prepared import Statement
from .expiry import first_expiry, sliding
from .reading import Reading
from .terms import KEY_FIELDS, Element, Terms, same_key
from .writing import noted

_Row: TypeAlias = Mapping[str, Element]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What differs between creating and setting.

    Attributes:
        writes: The journal of a new row, by the batch.
        columns: What is told of a row that was written.
        over: Which of the rows that are there are written over, by the time.
        changes: What becomes of such a row, by what a new row would have and by the time.
    """

    writes: Callable[[FromClause], Element]
    columns: Sequence[Element]
    over: Callable[[Element], ColumnElement[bool]]
    changes: Callable[[_Row, Element], _Row]


class Creating:
    """Builds them.

    SQLite does it by ON CONFLICT, since a writer has the whole file. PostgreSQL would wait there for whoever holds the
    row, and with a time from before that wait. So it locks the rows that are there and free, and inserts those that
    are not: what does neither, the caller asks for again. An INSERT still waits for another one of the same key that is
    not committed yet; so each row also tells what the clock says in the end.
    """

    def __init__(self, terms: Terms, reading: Reading) -> None:
        self._terms = terms
        self._table = terms.table
        self._reading = reading

    def create_many(self, batch: FromClause) -> Statement:
        """create() for drafts of several callers, none of which may wait for long for what concerns another one."""
        return self.create(batch, hurried=True)

    def create(self, batch: FromClause, *, hurried: bool = False) -> Statement:
        kind = _Kind(
            writes=lambda _: literal_column("''", Text()),
            columns=self._terms.plain.document,
            over=lambda now: ~self._terms.live(now),
            changes=lambda new, _: new,
        )
        if self._terms.backend.one_writer:
            return self._by_conflict(batch, kind, true().label("created"))
        here = select(
            *self._reading.get(batch, self._terms.range_checked).selected_columns[:-1],
            self._terms.live(batch.c.now).label("live"),
        )
        found = here.select_from(self._table.join(batch, self._terms.matches(batch))).cte("found")
        # Usually nothing has expired here: then nobody looks for it.
        expired = select(func.bool_or(~found.c.live)).scalar_subquery()
        made = self._by_steps(batch, kind, found, expired, true().label("created"), hurried=hurried)
        live: Any = select(*[column for column in found.c if column.key != "live"], false().label("created"))
        return union_all(made, live.where(found.c.live))

    def set(self, batch: FromClause) -> Statement:
        t = self._table

        def kept(new: _Row, now: Element) -> _Row:
            live = self._terms.live(now)
            lifetime = self._terms.backend.span(new["created_at"], new["deadline"])
            since = self._terms.backend.readable(t.c.created_at)
            deadline = case((live, since + lifetime), else_=new["deadline"])
            return {
                **new,
                "version": case((live, t.c.version + literal_column("1")), else_=new["version"]),
                "writes": case((live, noted(new["writes"], t)), else_=new["writes"]),
                "keys": case((live, t.c["keys"]), else_=new["keys"]),
                "created_at": case((live, t.c.created_at), else_=new["created_at"]),
                "deadline": deadline,
                "expires_at": first_expiry(new["updated_at"], new["ttl"], deadline),
            }

        kind = _Kind(lambda rows: rows.c.write, self._terms.range_checked.summary, over=lambda _: true(), changes=kept)
        if self._terms.backend.one_writer:
            return self._by_conflict(batch, kind)
        return self._by_steps(batch, kind, t.alias("here"), true())

    def _by_conflict(self, batch: FromClause, kind: _Kind, *more: Element) -> Statement:
        t = self._table
        values = self._values(batch, kind)
        rows = select(*(value.label(name) for name, value in values.items())).select_from(batch).where(true())
        insert = sqlite_insert(t).from_select(list(values), rows, include_defaults=False)
        now = self._terms.once
        changes = kind.changes({name: insert.excluded[name] for name in values}, now)
        upsert = insert.on_conflict_do_update(
            index_elements=list(self._terms.key), set_=_without_key(changes), where=kind.over(now)
        )
        return upsert.returning(*kind.columns, t.c.last_accessed_at.label("now"), false().label("due"), *more)

    def _by_steps(
        self,
        batch: FromClause,
        kind: _Kind,
        here: FromClause,
        wanted: ColumnElement[bool],
        *more: Element,
        hurried: bool = False,
    ) -> Select[Any]:
        t = self._table
        told = (*kind.columns, t.c.expires_at.label("ends"), t.c.deadline.label("until"), t.c.ttl.label("lives"))
        free = self._terms.backend.locked(batch, t, kind.over(batch.c.now), wanted)
        new = self._values(free, kind)
        changed = update(t).where(self._terms.matches(free)).values(_without_key(kind.changes(new, free.c.now)))
        values = self._values(batch, kind)
        absent = ~select(true()).select_from(here).where(same_key(here, batch)).exists()
        rows = select(*(value.label(name) for name, value in values.items())).select_from(batch).where(absent)
        if hurried:
            rows = rows.where(self._terms.backend.hurried())
        insert = postgresql_insert(t).from_select(
            list(values), rows.order_by(batch.c.namespace, batch.c.session_id), include_defaults=False
        )
        written = union_all(
            select(changed.returning(*told).cte("changed")),
            select(insert.on_conflict_do_nothing().returning(*told).cte("made")),
        ).cte("written")
        # Evaluated after all that was written, since it counts that.
        ended = select(func.count().label("count"), self._terms.now.label("now")).select_from(written).cte("ended")
        due = sliding(_Ends(written), ended.c.now, written.c.lives).due
        columns = [written.c[str(column.key)] for column in kind.columns]
        now = ended.c.now.label("now")
        return select(*columns, now, func.coalesce(due, false(), type_=Boolean()).label("due"), *more).select_from(
            written.join(ended, true())
        )

    def _values(self, batch: FromClause, kind: _Kind) -> dict[str, Element]:
        """What a new row has."""
        now = batch.c.now
        ttl = self._terms.backend.interval(batch.c.ttl)
        deadline = now + self._terms.backend.interval(batch.c.max_lifetime)
        return {
            **{name: batch.c[name] for name in ("namespace", "session_id", "state", "origin", "owner_id", "version")},
            "writes": kind.writes(batch),
            "keys": literal_column("''", Text()),
            **dict.fromkeys(("created_at", "updated_at", "last_accessed_at"), now),
            "ttl": ttl,
            "deadline": deadline,
            "expires_at": first_expiry(now, ttl, deadline),
        }


class _Ends:
    """Rows that were written, with their expiry as it is stored."""

    def __init__(self, written: FromClause) -> None:
        self.c = _EndColumns(written.c.ends, written.c.until)


@dataclass(frozen=True, slots=True)
class _EndColumns:
    expires_at: Element
    deadline: Element


def _without_key(values: _Row) -> dict[str, Element]:
    return {name: value for name, value in values.items() if name not in KEY_FIELDS}
