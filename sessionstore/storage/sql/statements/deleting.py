"""The statements that delete sessions (by key, by scope, if expired), and those for deletion receipts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
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
from .columns import last_write, of_items
from .terms import LIMIT, Element, Terms, same_key

EXPIRED, LIVE, HELD, SWALLOWED = range(4)
"""The outcomes of a deletion. EXPIRED and LIVE: the row was deleted, and had expired or was live. HELD: another
transaction holds the row. SWALLOWED: the row was locked, but a trigger or a rule of the table kept it."""

USED_UP: Final = "~"
"""The suffix that marks a receipt as used up."""

_SAMPLE: Final = 200
"""The number of sessions whose items are counted, to estimate how many sessions a batch may delete."""

CREATED: Final = "+"
"""The prefix of a receipt for a creation. The version of the draft follows. No other receipt has this prefix."""

SINCE: Final = bindparam("since", type_=Instant())


class Deleting:
    """Builds the statements that delete sessions."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._table = terms.table
        grace = terms.backend.interval(bindparam("grace", type_=BigInteger()))
        # This time may be from before a lock wait, which does no harm: a row that had expired then is expired now.
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
            return gone.returning(*self._terms.key, self._outcome(self._terms.was_live(self._terms.now_once)))
        free = self._terms.backend.locked(batch, t, owned, deleting=True)
        gone = delete(t).where(self._terms.matches(free))
        deleted = gone.returning(
            *self._terms.key, free.c.receipt, self._terms.was_live(free.c.now).label("live"), free.c.now
        ).cte("gone")
        done = select(deleted.c.namespace, deleted.c.session_id, self._outcome(deleted.c.live))
        # A statement sees the table as of its start. A row that was there and could not be locked is held by another
        # transaction, or was deleted a moment ago.
        here = select(*self._terms.key, _outcome(HELD)).select_from(
            t.join(batch, and_(self._terms.matches(batch), owned))
        )
        held = here.where(~select(true()).select_from(free).where(same_key(free, t)).exists())
        kept = select(free.c.namespace, free.c.session_id, _outcome(SWALLOWED)).where(
            ~select(true()).select_from(deleted).where(same_key(deleted, free)).exists()
        )
        answer = union_all(done, held, kept)
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
        """Inserts the receipts of deletions whose answers were lost, so that these deletions cannot land any more.

        A late deletion would insert the same receipt, and the primary key refuses a second one. A row with the suffix
        USED_UP says that this statement inserted the receipt.
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
        # Every batch locks in key order, so no two batches can deadlock. The DELETE finds the rows by key and not by
        # physical address, because a write in between moves a row to another address.
        free = self._first(and_(true(), *conditions), list(self._terms.key), *self._terms.key).cte("free")
        live = self._terms.was_live(self._terms.now_once).label("live")
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
        # Start after the previous batch. Until a vacuum, the index still has entries for the rows that batch deleted.
        found = and_(self._since, self._expired)
        chosen = self._first(found, [t.c.expires_at], row_id.label("address"))
        # Each locked row is checked again, because it may have changed after it was chosen. coalesce() keeps the
        # planner from using the index for this check. With stale statistics, each batch would otherwise read every
        # expired row through the index.
        still = func.coalesce(self._expired, false(), type_=Boolean())
        purged = delete(t).where(backend.one_of(row_id, chosen), still)
        # The commit may be asynchronous: if a server crash undoes a batch, the next run deletes those rows again.
        return backend.purged(purged, t, found)

    def count_expired(self) -> Statement:
        return select(func.count()).select_from(self._table).where(self._since, self._expired)

    def _first(self, wanted: ColumnElement[bool], order: Sequence[Element], *columns: Element) -> Select[Any]:
        """Selects the first sessions that together with their items are at most LIMIT rows, but at least one session.

        PostgreSQL locks the sessions, and skips those that other transactions hold.
        """
        t = self._table
        rows = select(
            *columns, of_items(t, "item_count"), *(column.label(f"by{at}") for at, column in enumerate(order))
        )
        rows = rows.select_from(t).where(wanted).order_by(*order)
        within = rows.limit(LIMIT)
        if not self._terms.backend.one_writer:
            # Lock only about as many sessions as will be deleted. LIMIT sessions with many items would be far too many.
            number = _estimate(rows.limit(func.least(LIMIT, literal_column(str(_SAMPLE)))), len(order))
            within = rows.limit(number).with_for_update(skip_locked=True)
        counted = _counted(within, len(order), "chosen")
        return select(*(counted.c[str(column.key)] for column in columns)).where(_fits(counted))

    def _outcome(self, live: ColumnElement[bool]) -> ColumnElement[Any]:
        return case((live, _outcome(LIVE)), else_=_outcome(EXPIRED)).label("outcome")


def _outcome(code: int) -> ColumnElement[Any]:
    return literal_column(str(code), Integer()).label("outcome")


def _counted(rows: Select[Any], order: int, name: str) -> Subquery:
    """Builds the ordered rows with their numbers, and for each row the sum of sessions and items up to that row."""
    c = rows.subquery(f"{name}_rows").c
    by = [c[f"by{at}"] for at in range(order)]
    so_far = func.sum(c.item_count + literal_column("1")).over(order_by=by, rows=(None, 0))
    return select(*c, so_far.label("so_far"), func.row_number().over(order_by=by).label("number")).subquery(name)


def _fits(counted: FromClause) -> ColumnElement[bool]:
    return or_(counted.c.number == literal_column("1"), counted.c.so_far <= LIMIT)


def _estimate(sample: Select[Any], order: int) -> Any:
    """Builds the number of sessions in a batch: exact within the sample, and in proportion to the sample beyond it."""
    counted = _counted(sample, order, "sample")
    rows = func.max(counted.c.so_far)
    beyond = cast(func.ceil(LIMIT * func.count() / rows), BigInteger)
    within = func.count().filter(_fits(counted))
    return select(case((rows <= LIMIT, beyond), else_=within)).select_from(counted).scalar_subquery()
