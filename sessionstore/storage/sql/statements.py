"""Every statement, built and compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from ...journal import JOURNAL_CHARS
from .columns import Columns, careful_columns, last_write, plain_columns
from .dialect import Backend, Fields
from .expiry import first_expiry
from .prepared import Prepared, Statement
from .tables import DOCUMENT, KEY, Instant, is_document

_Element: TypeAlias = ColumnElement[Any]

_KEY: Final[Fields] = {"namespace": KEY, "session_id": KEY}
_VERSIONED: Final[Fields] = {**_KEY, "state": DOCUMENT, "version": BigInteger()}
_WRITE: Final[Fields] = {
    **_VERSIONED,
    "last_write": Text(),
    "count": BigInteger(),
    "write": Text(),
    "keys": Text(),
}
_DRAFT: Final[Fields] = {
    **_VERSIONED,
    "ttl": BigInteger(),
    "max_lifetime": BigInteger(),
    "origin": DOCUMENT,
    "owner_id": Text(),
}
_SETTING: Final[Fields] = {**_DRAFT, "write": Text()}

_LIMIT: Final = bindparam("limit", type_=BigInteger())


_Build: TypeAlias = Callable[[FromClause], Statement]
_Locking: TypeAlias = Callable[[FromClause, Table], FromClause]
"""Cuts a batch down to rows that are locked."""


class Pair(NamedTuple):
    """A statement for one row, with a parameter for each field, and for many, with all of them in one parameter."""

    one: Prepared
    many: Prepared


class Statements:
    """The statements for one table of one database."""

    def __init__(self, table: Table, deletions: Table | None, backend: Backend) -> None:
        self._table = t = table
        self._deletions = deletions
        self._backend = backend
        self._insert = sqlite_insert if backend.name == "sqlite" else postgresql_insert
        self._now = backend.now(bindparam("now", type_=Instant()))
        self._live = or_(t.c.expires_at.is_(None), t.c.expires_at > self._now)
        # The same of a row that is deleted: of such a one, SQLite 3.40 takes NULL IS NULL for false.
        self._was_live = func.coalesce(t.c.expires_at > self._now, true(), type_=Boolean())
        self._expired = t.c.expires_at <= self._now - backend.interval(bindparam("grace", type_=BigInteger()))
        self._since = t.c.expires_at >= bindparam("since", type_=Instant())
        self._key = (t.c.namespace, t.c.session_id)
        self._plain = plain_columns(t, self._now, backend)
        self._careful = careful_columns(t, self._now, backend)
        # Of what is written, it alone may be what a hand wrote; and what was written has to be told.
        self._expires_at = backend.readable(t.c.expires_at).label("expires_at")
        self._journal = (t.c.writes, t.c["keys"])

        # Those that sessions are read and updated with, for the rows of everybody else.
        self.get = self._swift(_KEY, self._get)
        self.get_with_journal = self._swift(_KEY, self._get_with_journal)
        # A row that somebody else holds is about to be at another version: who waited for it would lose anyway, and
        # keep the others of the batch waiting.
        skipping = partial(backend.locked, skip_locked=True)
        self.update = self._swift(_WRITE, self._update, locking=skipping)
        self.touch = self._swift(_KEY, self._touch, locking=backend.locked)

        self.get_locked = self._pair(_KEY, self._get_locked)
        self.exists = self._pair(_KEY, self._exists)
        self.create = self._pair(_DRAFT, self._create)
        self.set = self._pair(_SETTING, self._set)
        self.delete = self._pair({**_KEY, "receipt": Text()}, self._delete, locking=backend.locked)
        self.receipts = self._pair({"receipt": Text()}, self._noted_receipts)
        self.forget_receipts = None if deletions is None else self._prepare(self._forget_receipts(deletions))
        self.purge = self._prepare(self._purge())
        self.count_expired = self._prepare(select(func.count()).select_from(t).where(self._since, self._expired))

    def list(self, conditions: Sequence[ColumnElement[bool]]) -> Prepared:
        """One page of the live sessions for which these hold."""
        page = select(*self._careful.summary).where(self._live, *conditions).order_by(*self._key)
        return self._prepare(page.limit(_LIMIT))

    def clear(self, conditions: Sequence[ColumnElement[bool]]) -> Prepared:
        """Deletes one batch of the rows for which these hold: how many there were, and how many of them were live."""
        rows = select(*self._key).where(and_(true(), *conditions)).order_by(*self._key).limit(_LIMIT)
        # In the order in which batches of writes lock, so that no two can deadlock. By key: a row that is written
        # meanwhile has another address than the one that it was found at.
        locked = rows.with_for_update().cte("locked")
        cleared = delete(self._table).where(self._backend.among(self._table, locked))
        return self._prepare(self._backend.cleared(cleared, self._was_live))

    def stats(self, conditions: Sequence[ColumnElement[bool]]) -> Prepared:
        """Per namespace: the live rows, the expired ones, and the oldest expiry of these."""
        t = self._table
        oldest = func.min(t.c.expires_at, type_=Instant()).filter(~self._live)
        counts = select(
            t.c.namespace,
            func.count().filter(self._live).label("live"),
            func.count().filter(~self._live).label("expired"),
            self._backend.readable(oldest).label("oldest_expiry"),
        )
        return self._prepare(counts.where(*conditions).group_by(t.c.namespace).order_by(t.c.namespace))

    def _prepare(self, statement: Statement, careful: Callable[[], Prepared] | None = None) -> Prepared:
        return Prepared(statement, self._backend.driver, careful)

    def _pair(
        self,
        fields: Fields,
        build: _Build,
        *,
        locking: _Locking | None = None,
        careful: Callable[[], Pair] | None = None,
    ) -> Pair:
        batch = self._backend.batch(fields)
        many = batch if locking is None else locking(batch, self._table)
        return Pair(
            self._prepare(build(self._one(fields)), careful and (lambda: careful().one)),
            self._prepare(build(many), careful and (lambda: careful().many)),
        )

    def _swift(
        self, fields: Fields, build: Callable[[FromClause, Columns], Statement], *, locking: _Locking | None = None
    ) -> Pair:
        """The statements for rows as this library writes them. Where they meet another one, the careful ones run."""
        careful = cache(lambda: self._pair(fields, lambda batch: build(batch, self._careful), locking=locking))
        return self._pair(fields, lambda batch: build(batch, self._plain), locking=locking, careful=careful)

    def _one(self, fields: Fields) -> FromClause:
        """A batch of one row. The planner pulls it up, so that the statement is as good as one without a batch."""

        def field(name: str, type_: TypeEngine[Any]) -> _Element:
            if is_document(type_):
                return self._backend.json(bindparam(name, type_=Text()))
            return bindparam(name, type_=type_)

        return select(*(field(name, type_).label(name) for name, type_ in fields.items())).subquery("batch")

    def _matches(self, batch: FromClause) -> ColumnElement[bool]:
        return and_(self._table.c.namespace == batch.c.namespace, self._table.c.session_id == batch.c.session_id)

    def _get(self, batch: FromClause, columns: Columns) -> Select[Any]:
        # `now` and `due` tell the caller whether this access has to move the expiry, which is another statement.
        due = func.coalesce(columns.sliding.due, false(), type_=Boolean()).label("due")
        found = select(*columns.document, self._now.label("now"), due, false().label("created"))
        return found.select_from(self._table.join(batch, self._matches(batch))).where(self._live)

    def _get_with_journal(self, batch: FromClause, columns: Columns) -> Select[Any]:
        return self._get(batch, columns).add_columns(*self._journal)

    def _get_locked(self, batch: FromClause) -> Select[Any]:
        # In key order, as all batches lock.
        return self._get_with_journal(batch, self._careful).order_by(*self._key).with_for_update(of=self._table)

    def _exists(self, batch: FromClause) -> Statement:
        return select(*self._key).select_from(self._table.join(batch, self._matches(batch))).where(self._live)

    def _create(self, batch: FromClause) -> Statement:
        def inserting(missing: ColumnElement[bool]) -> ReturningInsert[Any]:
            upsert, new = self._upsert(batch, missing, literal_column("''", Text()))
            replacing = upsert.on_conflict_do_update(index_elements=list(self._key), set_=new, where=~self._live)
            made = (self._table.c.created_at.label("now"), false().label("due"), true().label("created"))
            returning: ReturningInsert[Any] = replacing.returning(*self._plain.document, *made)
            return returning

        return self._backend.create(inserting, self._get(batch, self._careful), batch)

    def _set(self, batch: FromClause) -> Statement:
        t = self._table
        upsert, new = self._upsert(batch, true(), batch.c.write)
        lifetime = self._backend.span(new["created_at"], new["deadline"])
        since = self._backend.readable(t.c.created_at)
        deadline = case((self._live, since + lifetime), else_=new["deadline"])
        kept = new | {
            "version": case((self._live, t.c.version + literal_column("1")), else_=new["version"]),
            "writes": case((self._live, self._noted(new["writes"])), else_=new["writes"]),
            "keys": case((self._live, t.c["keys"]), else_=new["keys"]),
            "created_at": case((self._live, t.c.created_at), else_=new["created_at"]),
            "deadline": deadline,
            "expires_at": first_expiry(self._now, new["ttl"], deadline),
        }
        overwriting = upsert.on_conflict_do_update(index_elements=list(self._key), set_=kept)
        returning: ReturningInsert[Any] = overwriting.returning(*self._careful.summary)
        return returning

    def _upsert(
        self, batch: FromClause, missing: ColumnElement[bool], writes: _Element
    ) -> tuple[Any, dict[str, _Element]]:
        """An INSERT of drafts, and the values that it brings, as ON CONFLICT names them."""
        ttl = self._backend.interval(batch.c.ttl)
        deadline = self._now + self._backend.interval(batch.c.max_lifetime)
        values = {
            **{name: batch.c[name] for name in ("namespace", "session_id", "state", "origin", "owner_id", "version")},
            "writes": writes,
            "keys": literal_column("''", Text()),
            **dict.fromkeys(("created_at", "updated_at", "last_accessed_at"), self._now),
            "ttl": ttl,
            "deadline": deadline,
            "expires_at": first_expiry(self._now, ttl, deadline),
        }
        rows = select(*(value.label(name) for name, value in values.items())).select_from(batch).where(missing)
        upsert = self._insert(self._table).from_select(
            list(values), rows.order_by(batch.c.namespace, batch.c.session_id), include_defaults=False
        )
        return upsert, {name: upsert.excluded[name] for name in values if name not in _KEY}

    def _update(self, batch: FromClause, columns: Columns) -> Statement:
        t = self._table
        # By the last write too: after a restore, a version comes back with another state.
        as_read = and_(t.c.version == batch.c.version, last_write(t) == batch.c.last_write)
        matched = update(t).where(self._matches(batch), as_read, self._live)
        return matched.values(
            state=batch.c.state,
            version=t.c.version + batch.c["count"],
            writes=self._noted(batch.c.write),
            keys=func.coalesce(batch.c["keys"], t.c["keys"]),
            updated_at=self._now,
            last_accessed_at=self._now,
            expires_at=columns.sliding.slid,
        ).returning(*self._key, t.c.updated_at, self._expires_at)

    def _noted(self, made: _Element) -> _Element:
        return func.substr(made.concat(self._table.c.writes), literal_column("1"), literal_column(str(JOURNAL_CHARS)))

    def _touch(self, batch: FromClause, columns: Columns) -> Statement:
        touched = update(self._table).where(self._backend.among(self._table, batch), self._live, columns.sliding.due)
        slid = touched.values(expires_at=columns.sliding.slid, last_accessed_at=self._now)
        return slid.returning(*self._key, self._table.c.last_accessed_at, self._expires_at)

    def _delete(self, batch: FromClause) -> Statement:
        gone = delete(self._table).where(self._backend.among(self._table, batch))
        told = (*self._key, self._was_live.label("live"))
        if self._deletions is None:
            return gone.returning(*told)
        rows = gone.returning(*told, batch.c.receipt).cte("gone")
        live = select(rows.c.receipt, self._now).where(rows.c.live)
        noted = insert(self._deletions).from_select(["id", "deleted_at"], live).cte("noted")
        return select(rows.c.namespace, rows.c.session_id, rows.c.live).add_cte(noted)

    def _noted_receipts(self, batch: FromClause) -> Statement:
        if self._deletions is None:
            return select(batch.c.receipt).where(false())
        return select(batch.c.receipt).join(self._deletions, self._deletions.c.id == batch.c.receipt)

    def _forget_receipts(self, deletions: Table) -> Statement:
        old = deletions.c.deleted_at <= self._now - self._backend.interval(bindparam("grace", type_=BigInteger()))
        ids = select(deletions.c.id).where(old).order_by(deletions.c.deleted_at).limit(_LIMIT)
        chosen = ids.with_for_update(skip_locked=True)
        return delete(deletions).where(deletions.c.id.in_(chosen)).returning(deletions.c.id)

    def _purge(self) -> Statement:
        t = self._table
        row_id = self._backend.row_id(t)
        # Past what the batch before this one deleted: the index leads to dead rows too until it is vacuumed.
        found = and_(self._since, self._expired)
        rows = select(row_id).select_from(t).where(found).order_by(t.c.expires_at).limit(_LIMIT)
        chosen = rows.with_for_update(skip_locked=True).correlate(None)
        # The condition again: it is checked on each row as it is under the lock, not as it was when it was chosen. In
        # words that no index answers: else, where the statistics know of few expired rows or none, the planner reads
        # all that have expired by the index, for each batch, and looks for their addresses among those chosen.
        still = func.coalesce(self._expired, false(), type_=Boolean())
        purged = delete(t).where(self._backend.one_of(row_id, chosen), still)
        # Lazily, because a batch that a crash of the server takes back is deleted by the next run.
        return self._backend.purged(purged, t, found)
