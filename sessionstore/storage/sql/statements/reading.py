"""The statements that read sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    false,
    func,
    or_,
    select,
    true,
    tuple_,
)

from ... import Key, Place
from ..drivers.prepared import Statement
from ..tables import Instant
from .columns import Columns
from .terms import LIMIT, Terms

_AFTER: Final = bindparam("after_updated_at", type_=Instant())
_AFTER_KEY: Final = tuple_(*(bindparam(name, type_=Text()) for name in ("after_namespace", "after_session_id")))


class Reading:
    """Builds the statements that read sessions."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._table = terms.table

    def get(self, batch: FromClause, columns: Columns) -> Select[Any]:
        # `due` tells the caller to move the expiry, which takes a second statement.
        now = batch.c.now
        found = select(*columns.document, now.label("now"), self._due(columns, now), false().label("created"))
        return found.select_from(self._found(batch)).where(self._terms.live(now))

    def get_with_journal(self, batch: FromClause, columns: Columns) -> Select[Any]:
        return self.get(batch, columns).add_columns(*self._terms.journal)

    def get_locked(self, batch: FromClause) -> Statement:
        accessed = (false().label("due"), false().label("created"))
        return self._locked(batch, self._terms.range_checked.document, accessed, self._terms.journal)

    def lock(self, batch: FromClause) -> Statement:
        """Locks the live rows of the batch. Skips rows that other transactions hold."""
        t = self._table
        journal = (t.c["keys"], t.c.appends, t.c.lost_appends)
        return self._locked(batch, self._terms.range_checked.summary, (), journal, skip_locked=True)

    def _locked(
        self,
        batch: FromClause,
        read: Sequence[ColumnElement[Any]],
        accessed: Sequence[ColumnElement[Any]],
        journal: Sequence[ColumnElement[Any]],
        *,
        skip_locked: bool = False,
    ) -> Statement:
        """Builds the statement that locks rows, and selects the columns to read, the time and the journal."""
        t = self._table
        columns = (*read, *journal, t.c.expires_at.label("ends"))
        # Every batch locks in key order, so no two batches can deadlock. The outer SELECT decides whether a row is
        # live: it sees the locked row, and reads the clock after the lock wait.
        rows = select(*columns).select_from(self._found(batch)).order_by(*self._terms.key)
        locked = rows.with_for_update(of=t, key_share=True, skip_locked=skip_locked).cte("locked")
        now, ends = self._terms.now, locked.c.ends
        seen = [locked.c[str(column.key)] for column in read]
        noted = [locked.c[str(column.key)] for column in journal]
        return select(*seen, now.label("now"), *accessed, *noted).where(or_(ends.is_(None), ends > now))

    def exists(self, batch: FromClause) -> Statement:
        # A touch that could not move an expiry reads `due`, to learn whether another transaction holds the row.
        now = batch.c.now
        found = select(*self._terms.key, self._due(self._terms.range_checked, now)).select_from(self._found(batch))
        return found.where(self._terms.live(now))

    def held(self, batch: FromClause) -> Statement:
        """Selects the rows that another transaction has locked, live or not."""
        t = self._table
        if self._terms.backend.one_writer:
            return select(*self._terms.key).where(false())
        free = self._terms.backend.locked(batch, t)
        here = (free.c.namespace == t.c.namespace) & (free.c.session_id == t.c.session_id)
        taken = ~select(true()).select_from(free).where(here).exists()
        return select(*self._terms.key).select_from(self._found(batch)).where(taken)

    def list(
        self,
        conditions: Sequence[ColumnElement[bool]],
        after: Key | Place | None,
        *,
        recent: bool,
        states: bool,
    ) -> Statement:
        columns = self._terms.range_checked
        # Range-checked like the time in the cursor of the previous page, with which it is compared.
        updated_at = self._terms.backend.readable(self._table.c.updated_at)
        key = tuple_(*self._terms.key)
        order: list[ColumnElement[Any]] = list(self._terms.key)
        page = select(*(columns.document if states else columns.summary))
        page = page.where(self._terms.live(self._terms.now_once), *conditions)
        if recent:
            order = [updated_at.desc(), *order]
        if isinstance(after, Place):
            page = page.where(or_(updated_at < _AFTER, and_(updated_at == _AFTER, key > _AFTER_KEY)))
        elif after is not None:
            page = page.where(key > _AFTER_KEY)
        return page.order_by(*order).limit(LIMIT)

    def stats(self, conditions: Sequence[ColumnElement[bool]]) -> Statement:
        t = self._table
        live = self._terms.live(self._terms.now_once)
        oldest = func.min(t.c.expires_at, type_=Instant()).filter(~live)
        counts = select(
            t.c.namespace,
            func.count().filter(live).label("live"),
            func.count().filter(~live).label("expired"),
            self._terms.backend.readable(oldest).label("oldest_expiry"),
        )
        return counts.where(*conditions).group_by(t.c.namespace).order_by(t.c.namespace)

    def _found(self, batch: FromClause) -> FromClause:
        return self._table.join(batch, self._terms.matches(batch))

    def _due(self, columns: Columns, now: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.coalesce(columns.sliding(self._table, now).due, false(), type_=Boolean()).label("due")
