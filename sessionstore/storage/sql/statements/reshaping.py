"""The statements that find and rewrite states and items of other shape versions. None of them is an access."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, FromClause, Integer, Select, Text, bindparam, select, true, tuple_, update
from sqlalchemy.sql.dml import Update

from ..dialects.dialect import Fields
from ..drivers.prepared import Statement
from ..tables import KEY
from .columns import Columns, state_version
from .terms import KEY_FIELDS, LIMIT, Terms, same_key
from .writing import Writing, noted, shaped

REWRITE: Final[Fields] = {
    **KEY_FIELDS,
    "log": KEY,
    "position": BigInteger(),
    "was": Text(),
    "found": Integer(),
    "item": Text(),
    "item_version": Integer(),
}
"""The fields of a rewritten item: its place; the text and the version that were read; the new text and version."""

_NAMESPACE: Final = bindparam("namespace", type_=Text())
_VERSION: Final = bindparam("version", type_=Integer())
_AFTER_SESSION: Final = bindparam("after_session_id", type_=Text())
_AFTER_LOG: Final = bindparam("after_log", type_=Text())
_AFTER_POSITION: Final = bindparam("after_position", type_=BigInteger())


class Reshaping:
    """Builds the statements that find and rewrite states and items of other shape versions."""

    def __init__(self, terms: Terms, writing: Writing) -> None:
        self._terms = terms
        self._table = terms.table
        self._items = terms.items
        self._writing = writing

    def outdated(self) -> Statement:
        """Selects live sessions whose states are of another shape version."""
        t = self._table
        found = select(*self._terms.range_checked.document).where(
            t.c.namespace == _NAMESPACE,
            t.c.session_id > _AFTER_SESSION,
            self._terms.live(self._terms.now_once),
            state_version(t) != _VERSION,
        )
        return found.order_by(t.c.session_id).limit(LIMIT)

    def rewrite(self, batch: FromClause, columns: Columns) -> Update:
        """Writes states under the optimistic lock, and leaves all times as they are."""
        t = self._table
        matched = update(t).where(
            self._terms.matches(batch),
            *self._writing.as_read(t, batch, columns),
            self._terms.live(batch.c.now),
        )
        return matched.values(
            state=batch.c.state,
            version=t.c.version + batch.c["count"],
            writes=noted(batch.c.write, t),
            **shaped(batch, t),
        ).returning(*self._terms.key)

    def outdated_items(self) -> Statement:
        """Selects the items of live sessions that are of another shape version."""
        t, i = self._table, self._items
        here: Select[Any] = select(true()).select_from(t).where(same_key(t, i), self._terms.live(self._terms.now_once))
        text = self._terms.backend.text(i.c.item).label("item")
        created_at = self._terms.backend.readable(i.c.created_at).label("created_at")
        found = select(i.c.namespace, i.c.session_id, i.c.log, i.c.position, text, created_at, i.c.item_version).where(
            i.c.namespace == _NAMESPACE,
            tuple_(i.c.session_id, i.c.log, i.c.position) > tuple_(_AFTER_SESSION, _AFTER_LOG, _AFTER_POSITION),
            i.c.item_version != _VERSION,
            here.exists(),
        )
        return found.order_by(i.c.session_id, i.c.log, i.c.position).limit(LIMIT)

    def rewrite_items(self, batch: FromClause) -> Statement:
        """Replaces the texts of items, unless an item has changed since it was read."""
        i, backend = self._items, self._terms.backend
        # The version alone is not enough: code of the older shape may have replaced the text under the same version.
        as_read = (i.c.item_version == batch.c.found, backend.text(i.c.item) == batch.c.was)
        here = (same_key(i, batch), i.c.log == batch.c.log, i.c.position == batch.c.position)
        rewritten = update(i).where(*here, *as_read)
        values = rewritten.values(item=backend.verbatim(batch.c.item), item_version=batch.c.item_version)
        return values.returning(i.c.namespace, i.c.session_id, i.c.log, i.c.position)
