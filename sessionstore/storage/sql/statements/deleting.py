"""The statements that delete sessions: those asked for, those of a scope, the expired ones; and the receipts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
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
    union_all,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert

from ..drivers.prepared import Statement
from ..tables import Instant
from .columns import last_write
from .terms import LIMIT, Terms, same_key

EXPIRED, LIVE, HELD, SWALLOWED = range(4)
"""What became of a row that was to be deleted: it was, and had expired or was live; another transaction holds it; it is
there still, although nobody holds it."""

USED_UP: Final = "~"
"""What follows a receipt in the mark of one that was used up."""

SINCE: Final = bindparam("since", type_=Instant())


class Deleting:
    """Builds them."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._table = terms.table
        grace = terms.backend.interval(bindparam("grace", type_=BigInteger()))
        # By a time that may be from before a wait: what had expired then has now.
        self._old = terms.started - grace
        self._expired = terms.table.c.expires_at <= self._old
        self._since = terms.table.c.expires_at >= SINCE

    def delete(self, batch: FromClause) -> Statement:
        t = self._table
        owned = and_(
            or_(batch.c.owner_id.is_(None), batch.c.owner_id == t.c.owner_id),
            or_(batch.c.version.is_(None), batch.c.version == t.c.version),
            or_(batch.c.last_write.is_(None), batch.c.last_write == last_write(t)),
        )
        if self._terms.backend.one_writer:
            mine = select(true()).select_from(batch).where(self._terms.matches(batch), owned).exists()
            gone = delete(t).where(self._terms.backend.among(t, batch), mine)
            return gone.returning(*self._terms.key, self._what(self._terms.was_live(self._terms.once)))
        free = self._terms.backend.locked(batch, t, owned, deleting=True)
        gone = delete(t).where(self._terms.matches(free))
        deleted = gone.returning(
            *self._terms.key, free.c.receipt, self._terms.was_live(free.c.now).label("live"), free.c.now
        ).cte("gone")
        told = select(deleted.c.namespace, deleted.c.session_id, self._what(deleted.c.live))
        # A statement sees the table as it was at its beginning. What was there and could not be locked is held by
        # somebody, or was just deleted.
        here = select(*self._terms.key, _what(HELD)).select_from(t.join(batch, and_(self._terms.matches(batch), owned)))
        held = here.where(~select(true()).select_from(free).where(same_key(free, t)).exists())
        kept = select(free.c.namespace, free.c.session_id, _what(SWALLOWED)).where(
            ~select(true()).select_from(deleted).where(same_key(deleted, free)).exists()
        )
        answer = union_all(told, held, kept)
        if self._terms.deletions is None:
            return answer
        live = select(deleted.c.receipt, deleted.c.now).where(deleted.c.live)
        return answer.add_cte(insert(self._terms.deletions).from_select(["id", "deleted_at"], live).cte("noted"))

    def noted_receipts(self, batch: FromClause) -> Statement:
        deletions = self._terms.deletions
        if deletions is None:
            return select(batch.c.receipt).where(false())
        return select(batch.c.receipt).join(deletions, deletions.c.id == batch.c.receipt)

    def use_up_receipts(self, batch: FromClause) -> Statement:
        """Leaves the receipts of deletions that were lost, where these did not: such a deletion cannot land any more.

        It would leave the same receipt, of which there can be only one. A mark beside it tells who left it.
        """
        deletions = self._terms.deletions
        if deletions is None:
            return select(batch.c.receipt).where(false())
        names = ["id", "deleted_at"]
        left = postgresql_insert(deletions).from_select(names, select(batch.c.receipt, batch.c.now))
        ids = left.on_conflict_do_nothing().returning(deletions.c.id, deletions.c.deleted_at).cte("used_up")
        mark: Any = ids.c.id.concat(literal_column(f"'{USED_UP}'", Text()))
        return insert(deletions).from_select(names, select(mark, ids.c.deleted_at)).returning(deletions.c.id)

    def forget_receipts(self, deletions: Table) -> Statement:
        ids = select(deletions.c.id).where(deletions.c.deleted_at <= self._old).order_by(deletions.c.deleted_at)
        chosen = ids.limit(LIMIT).with_for_update(skip_locked=True)
        return delete(deletions).where(deletions.c.id.in_(chosen)).returning(deletions.c.id)

    def clear(self, conditions: Sequence[ColumnElement[bool]]) -> Statement:
        t = self._table
        rows = select(*self._terms.key).where(and_(true(), *conditions)).order_by(*self._terms.key).limit(LIMIT)
        # In the order in which batches of writes lock, so that no two can deadlock. By key: a row that is written
        # meanwhile has another address than the one that it was found at.
        free = rows.with_for_update(skip_locked=True).cte("free")
        live = self._terms.was_live(self._terms.once).label("live")
        cleared = delete(t).where(self._terms.backend.among(t, free))
        if self._terms.backend.one_writer:
            ones = [literal_column("1", Integer()).label(name) for name in ("deleted", "chosen", "there")]
            return cleared.returning(ones[0], live, *ones[1:])
        gone = cleared.returning(live).cte("gone")
        chosen = select(func.count()).select_from(free).scalar_subquery()
        there = select(true()).select_from(t).where(and_(true(), *conditions)).exists()
        return select(
            func.count().label("deleted"),
            func.count().filter(gone.c.live).label("live"),
            chosen.label("chosen"),
            there.label("there"),
        ).select_from(gone)

    def purge(self) -> Statement:
        t, backend = self._table, self._terms.backend
        row_id = backend.row_id(t)
        # Past what the batch before this one deleted: the index leads to dead rows too until it is vacuumed.
        found = and_(self._since, self._expired)
        rows = select(row_id).select_from(t).where(found).order_by(t.c.expires_at).limit(LIMIT)
        chosen = rows.with_for_update(skip_locked=True).correlate(None)
        # The condition again: it is checked on each row as it is under the lock, not as it was when it was chosen. In
        # words that no index answers: else, where the statistics know of few expired rows or none, the planner reads
        # all that have expired by the index, for each batch, and looks for their addresses among those chosen.
        still = func.coalesce(self._expired, false(), type_=Boolean())
        purged = delete(t).where(backend.one_of(row_id, chosen), still)
        # Lazily, because a batch that a crash of the server takes back is deleted by the next run.
        return backend.purged(purged, t, found)

    def count_expired(self) -> Statement:
        return select(func.count()).select_from(self._table).where(self._since, self._expired)

    def _what(self, live: ColumnElement[bool]) -> ColumnElement[Any]:
        return case((live, _what(LIVE)), else_=_what(EXPIRED)).label("what")


def _what(code: int) -> ColumnElement[Any]:
    return literal_column(str(code), Integer()).label("what")
