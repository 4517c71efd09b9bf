"""The statement that appends items, and creates the sessions that are absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    FromClause,
    Select,
    Text,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import Update

from .appending import Appending
from .columns import Columns
from .creating import Creating, Ends
from .expiry import sliding
from .terms import KEY_FIELDS, Element, Terms, same_key

_NO_POSITION: Final = literal_column("0", BigInteger())
_EMPTY: Final = literal_column("''", Text())


class Founding:
    """Builds the statement. PostgreSQL only, as in appending.py.

    The statement changes live rows, replaces expired rows and inserts missing rows. It skips rows that other
    transactions hold. Its column ``created`` says whether it created the session. Its column ``due`` says whether the
    expiry has to be moved, because the new session waited too long for another INSERT of its key.
    """

    def __init__(self, terms: Terms, appending: Appending, creating: Creating) -> None:
        self._terms = terms
        self._table = terms.table
        self._appending = appending
        self._creating = creating

    def counted(self, batch: FromClause, columns: Columns) -> Update:
        """Builds the part that changes the live rows."""
        # A lost append must not land on a session that another caller has created since then.
        return self._appending.counted(batch, columns).where(self._creating.allowed(batch))

    def appended(self, counted: Update, batch: FromClause, columns: Columns) -> Select[Any]:
        """Builds the statement.

        Args:
            counted: The part that changes the live rows, see counted().
            batch: The appends with their drafts.
            columns: The columns of a summary.
        """
        t = self._table
        summary = [str(column.key) for column in columns.summary]
        changed = counted.cte("changed")
        returned = (
            *self._terms.range_checked.summary,
            t.c.last_position.label("last"),
            t.c.updated_at.label("at"),
            t.c.expires_at.label("ends"),
            t.c.deadline.label("until"),
            t.c.ttl.label("lives"),
        )
        wanted = (self._creating.allowed(batch), or_(batch.c.expected.is_(None), batch.c.expected == _NO_POSITION))
        free = self._terms.backend.locked(batch, t, ~self._terms.live(batch.c.now), *wanted, name="free")
        # The row keeps `lost_appends`: a lost append whose id is there must not land on the new session either.
        kept = (*KEY_FIELDS, "lost_appends")
        values = {name: value for name, value in self._values(free).items() if name not in kept}
        replaced = update(t).where(self._terms.matches(free)).values(values).returning(*returned).cte("replaced")
        new = self._values(batch)
        here = t.alias("here")
        absent = ~select(true()).select_from(here).where(same_key(here, batch)).exists()
        rows = select(*(value.label(name) for name, value in new.items())).select_from(batch)
        rows = rows.where(absent, *wanted, self._terms.backend.short_lock_timeout())
        inserted = insert(t).from_select(
            list(new), rows.order_by(batch.c.namespace, batch.c.session_id), include_defaults=False
        )
        made = inserted.on_conflict_do_nothing().returning(*returned).cte("made")
        created = union_all(select(replaced), select(made)).cte("created")
        # The count makes PostgreSQL read the clock after the last row was written.
        ended = select(func.count().label("count"), self._terms.now.label("now")).select_from(created).cte("ended")
        due = func.coalesce(sliding(Ends(created), ended.c.now, created.c.lives).due, false(), type_=Boolean())
        of_append = ("appended", "items", "append_id")
        old = select(
            *(changed.c[name] for name in summary),
            *(changed.c[name] for name in ("last", "at", *of_append)),
            false().label("created"),
            false().label("due"),
        )
        young = select(
            *(created.c[name] for name in (*summary, "last", "at")),
            *(batch.c[name] for name in of_append),
            true().label("created"),
            due.label("due"),
        ).select_from(created.join(batch, same_key(created, batch)).join(ended, true()))
        head = union_all(old, young).cte("head")
        return self._appending.inserting(head, [head.c[name] for name in (*summary, "created", "due")])

    def _values(self, batch: FromClause) -> Mapping[str, Element]:
        """Builds the values of a new row, which counts the items of its append."""
        digest: Any = batch.c.digest
        return {
            **self._creating.values(batch, _EMPTY),
            "keys": func.coalesce(digest, _EMPTY, type_=Text()),
            "last_position": batch.c.appended,
            "item_count": batch.c.appended,
            "appends": batch.c.append_entry,
        }
