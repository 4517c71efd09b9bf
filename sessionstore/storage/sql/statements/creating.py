"""The statements that create sessions, and those that set them (create or overwrite)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Table,
    Text,
    and_,
    case,
    cast,
    column,
    false,
    func,
    literal_column,
    select,
    table,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..drivers.prepared import Statement
from .deleting import CREATED
from .expiry import first_expiry, sliding
from .reading import Reading
from .terms import KEY_FIELDS, Element, Terms, same_key
from .writing import noted

_Row: TypeAlias = Mapping[str, Element]

_OF_ITEMS: Final = ("last_position", "item_count", "appends")
"""The columns about the items of a session. A session that is set keeps its items, and so these values."""
_LOCKS: Final = table(
    "pg_locks",
    *(column(name) for name in ("database", "relation", "pid", "mode")),
    column("virtualtransaction", Text()),
    schema="pg_catalog",
)
_DATABASES: Final = table("pg_database", column("oid"), column("datname"), schema="pg_catalog")


@dataclass(frozen=True, slots=True)
class _Kind:
    """The differences between creating and setting.

    Attributes:
        writes: Builds the journal of a new row from the batch.
        columns: The columns that are returned of a written row.
        allowed: Builds, from the batch, the condition that a row may be written at all.
        overwrites: Builds, from the time, the condition that an existing row is overwritten.
        changes: Builds the values of an overwritten row from those of a new row, the time, and the count of callers.
    """

    writes: Callable[[FromClause], Element]
    columns: Sequence[Element]
    allowed: Callable[[FromClause], ColumnElement[bool]]
    overwrites: Callable[[Element], ColumnElement[bool]]
    changes: Callable[[_Row, Element, Element], _Row]


class Creating:
    """Builds the statements that create and set sessions.

    SQLite uses ON CONFLICT DO UPDATE, because a writer has locked the whole file. In PostgreSQL that clause would wait
    for the transaction that holds the row, and then write a time from before the wait. So the PostgreSQL statement
    updates the existing rows that it can lock at once, and inserts the missing rows. The caller retries the other
    drafts. An INSERT still waits for an uncommitted INSERT of the same key. So each returned row also has the time at
    the end of the statement.
    """

    def __init__(self, terms: Terms, reading: Reading) -> None:
        self._terms = terms
        self._table = terms.table
        self._reading = reading

    def create(self, batch: FromClause) -> Statement:
        """Creates sessions, with a short lock timeout: the key of one caller must not delay the other callers."""
        kind = _Kind(
            writes=lambda _: literal_column("''", Text()),
            columns=self._terms.range_checked.document,
            allowed=self.allowed,
            overwrites=lambda now: ~self._terms.live(now),
            # The row keeps `lost_appends`: a lost append whose id is there must not land on the new session either.
            changes=lambda new, *_: {name: value for name, value in new.items() if name != "lost_appends"},
        )
        if self._terms.backend.one_writer:
            return self._by_conflict(batch, kind, true().label("created"))
        here = select(
            *self._reading.get(batch, self._terms.range_checked).selected_columns[:-1],
            self._terms.live(batch.c.now).label("live"),
        )
        found = here.select_from(self._table.join(batch, self._terms.matches(batch))).cte("found")
        # Most batches meet no expired row. This subquery is evaluated once and then saves the search for expired rows.
        expired = select(func.bool_or(~found.c.live)).scalar_subquery()
        made = self._by_steps(batch, kind, found, expired, true().label("created"), short_lock_timeout=True)
        live: Any = select(*[column for column in found.c if column.key != "live"], false().label("created"))
        return union_all(made, live.where(found.c.live))

    def under_way(self, deletions: Table) -> Statement:
        """Selects the transactions that are creating sessions.

        A creation shows by two table locks: it writes sessions and reads receipts, and no other statement does both. A
        statement takes its table locks before its snapshot. So no creation with a snapshot is missed.
        """
        lock, preparer = _LOCKS.c, self._terms.backend.driver.dialect.identifier_preparer

        def locked(table: Table, mode: str) -> ColumnElement[bool]:
            relation: Any = literal_column(f"CAST('{preparer.format_table(table)}' AS regclass)")
            return func.bool_or(and_(lock.relation == relation, lock.mode == literal_column(f"'{mode}'", Text())))

        database = select(_DATABASES.c.oid).where(_DATABASES.c.datname == func.current_database()).scalar_subquery()
        others = and_(lock.database == database, lock.pid != func.pg_backend_pid())
        found = select(lock.virtualtransaction).where(others).group_by(lock.virtualtransaction)
        return found.having(locked(self._table, "RowExclusiveLock"), locked(deletions, "AccessShareLock"))

    def set(self, batch: FromClause) -> Statement:
        """Creates or overwrites sessions."""
        return self._set(batch)

    def set_together(self, batch: FromClause) -> Statement:
        """Does what set() does, with a short lock timeout: the key of one caller must not delay the other callers."""
        return self._set(batch, short_lock_timeout=True)

    def renew(self, batch: FromClause) -> Statement:
        """Does what set() does, and lets the maximum lifetime count from now."""
        return self._set(batch, renew=True)

    def renew_together(self, batch: FromClause) -> Statement:
        """Does what renew() does, with a short lock timeout."""
        return self._set(batch, renew=True, short_lock_timeout=True)

    def _set(self, batch: FromClause, *, renew: bool = False, short_lock_timeout: bool = False) -> Statement:
        """Creates or overwrites sessions.

        Args:
            batch: The drafts.
            renew: Whether the maximum lifetime of an overwritten session counts from now.
            short_lock_timeout: Whether an INSERT waits only briefly for another INSERT of the same key.
        """
        t = self._table

        def kept(new: _Row, now: Element, count: Element) -> _Row:
            live = self._terms.live(now)
            lifetime = self._terms.backend.span(new["created_at"], new["deadline"])
            since = self._terms.backend.readable(t.c.created_at)
            deadline = new["deadline"] if renew else case((live, since + lifetime), else_=new["deadline"])
            return {
                **new,
                "version": case((live, t.c.version + count), else_=new["version"]),
                "writes": case((live, noted(new["writes"], t)), else_=new["writes"]),
                "keys": case((live, t.c["keys"]), else_=new["keys"]),
                **self._kept(new, live, count),
                "created_at": case((live, t.c.created_at), else_=new["created_at"]),
                "deadline": deadline,
                "expires_at": first_expiry(new["updated_at"], new["ttl"], deadline),
            }

        kind = _Kind(
            writes=lambda rows: rows.c.write,
            columns=self._terms.range_checked.summary,
            allowed=self.allowed,
            overwrites=lambda _: true(),
            changes=kept,
        )
        if self._terms.backend.one_writer:
            return self._by_conflict(batch, kind)
        return self._by_steps(batch, kind, t.alias("here"), true(), short_lock_timeout=short_lock_timeout)

    def _kept(self, new: _Row, live: ColumnElement[bool], count: Element) -> _Row:
        """Builds the values for those columns of a set session that the previous revision lacks."""
        t = self._table
        if not self._terms.has_items:
            return {}
        return {
            "state_version_at": case((live, t.c.version + count), else_=new["version"]),
            **{name: case((live, t.c[name]), else_=new[name]) for name in _OF_ITEMS},
            "lost_appends": t.c.lost_appends,
        }

    def _by_conflict(self, batch: FromClause, kind: _Kind, *more: Element) -> Statement:
        t = self._table
        values = self.values(batch, kind.writes(batch))
        rows = select(*(value.label(name) for name, value in values.items())).select_from(batch).where(true())
        insert = sqlite_insert(t).from_select(list(values), rows, include_defaults=False)
        now = self._terms.now_once
        changes = kind.changes({name: insert.excluded[name] for name in values}, now, literal_column("1"))
        upsert = insert.on_conflict_do_update(
            index_elements=list(self._terms.key), set_=_without_key(changes), where=kind.overwrites(now)
        )
        return upsert.returning(*kind.columns, t.c.last_accessed_at.label("now"), false().label("due"), *more)

    def _by_steps(
        self,
        batch: FromClause,
        kind: _Kind,
        here: FromClause,
        wanted: ColumnElement[bool],
        *more: Element,
        short_lock_timeout: bool = False,
    ) -> Select[Any]:
        t = self._table
        returned = (*kind.columns, t.c.expires_at.label("ends"), t.c.deadline.label("until"), t.c.ttl.label("lives"))
        free = self._terms.backend.locked(batch, t, kind.overwrites(batch.c.now), wanted, kind.allowed(batch))
        new = self.values(free, kind.writes(free))
        changes = kind.changes(new, free.c.now, free.c.get("count", literal_column("1")))
        changed = update(t).where(self._terms.matches(free)).values(_without_key(changes))
        values = self.values(batch, kind.writes(batch))
        absent = ~select(true()).select_from(here).where(same_key(here, batch)).exists()
        rows = select(*(value.label(name) for name, value in values.items())).select_from(batch)
        rows = rows.where(absent, kind.allowed(batch))
        if short_lock_timeout:
            rows = rows.where(self._terms.backend.short_lock_timeout())
        insert = postgresql_insert(t).from_select(
            list(values), rows.order_by(batch.c.namespace, batch.c.session_id), include_defaults=False
        )
        written = union_all(
            select(changed.returning(*returned).cte("changed")),
            select(insert.on_conflict_do_nothing().returning(*returned).cte("made")),
        ).cte("written")
        # The count makes PostgreSQL read the clock after the last row was written.
        ended = select(func.count().label("count"), self._terms.now.label("now")).select_from(written).cte("ended")
        due = sliding(Ends(written), ended.c.now, written.c.lives).due
        columns = [written.c[str(column.key)] for column in kind.columns]
        now = ended.c.now.label("now")
        return select(*columns, now, func.coalesce(due, false(), type_=Boolean()).label("due"), *more).select_from(
            written.join(ended, true())
        )

    def allowed(self, batch: FromClause) -> ColumnElement[bool]:
        """Builds the condition that the version of a draft is not used up.

        A version is used up when the answer of the creation was lost, so that the creation cannot land later.
        """
        deletions = self._terms.deletions
        if deletions is None:
            return true()
        receipt = literal_column(f"'{CREATED}'", Text()).concat(cast(batch.c.version, Text))
        # A scalar subquery, because the planner could turn EXISTS into a join that reads the whole table.
        return select(deletions.c.id).where(deletions.c.id == receipt).scalar_subquery().is_(None)

    def values(self, batch: FromClause, writes: Element) -> dict[str, Element]:
        """Builds the values of a new row from its draft and its journal of writes."""
        now = batch.c.now
        ttl = self._terms.backend.interval(batch.c.ttl)
        deadline = now + self._terms.backend.interval(batch.c.max_lifetime)
        values = {
            **{name: batch.c[name] for name in ("namespace", "session_id", "state", "origin", "owner_id", "version")},
            "state_version": batch.c.state_version,
            "state_version_at": batch.c.version,
            "writes": writes,
            "keys": literal_column("''", Text()),
            "last_position": literal_column("0", BigInteger()),
            "item_count": literal_column("0", BigInteger()),
            "appends": literal_column("''", Text()),
            "lost_appends": literal_column("''", Text()),
            **dict.fromkeys(("created_at", "updated_at", "last_accessed_at"), now),
            "ttl": ttl,
            "deadline": deadline,
            "expires_at": first_expiry(now, ttl, deadline),
        }
        return {name: value for name, value in values.items() if name in self._table.c}


class Ends:
    """The written rows with their stored expiry, without range checks."""

    def __init__(self, written: FromClause) -> None:
        self.c = _EndColumns(written.c.ends, written.c.until)


@dataclass(frozen=True, slots=True)
class _EndColumns:
    expires_at: Element
    deadline: Element


def _without_key(values: _Row) -> dict[str, Element]:
    return {name: value for name, value in values.items() if name not in KEY_FIELDS}
