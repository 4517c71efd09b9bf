"""The rows that statements return: the indexes of their columns, and the records that are read from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from ... import Document, Key, StoredItem, Summary, Write
from ...journal import Journal
from ..drivers.driver import Row
from ..structure import not_whole

_VERSION: Final = 2
_LAST_ACCESSED_AT: Final = 5
_EXPIRES_AT: Final = 6
_TTL: Final = 8
OWNER_ID: Final = 10
_LAST_POSITION: Final = 12
_ITEM_COUNT: Final = 13
_SUMMARY_COLUMNS: Final = 14
"""The number of columns of a summary. The key takes the first two."""

SET_AT: Final = _SUMMARY_COLUMNS
"""The index, in a row of `set` or `renew`, of the time at the end of the statement. The next column is `due`."""

FOUND_AT: Final = _SUMMARY_COLUMNS
"""The index, in a row of `find`, of the id of the item. Its position, text, time and version follow."""

LOG: Final = _SUMMARY_COLUMNS
"""The index, in a row of `logs`, of the name of a log."""

APPEND_CREATED, APPEND_DUE = _SUMMARY_COLUMNS, _SUMMARY_COLUMNS + 1
"""The indexes, in a row of `append_or_create`, of whether the session was created, and of `due`."""

STATE, STATE_VERSION, NOW, DUE, CREATED, _JOURNAL = range(_SUMMARY_COLUMNS, _SUMMARY_COLUMNS + 6)
"""The indexes, in a row that reads a document, of the columns after the summary. The items come last."""
_ITEMS: Final = _JOURNAL + 3


class Locked(NamedTuple):
    """The row of a live session that this transaction has locked.

    Attributes:
        summary: The session.
        now: The time at which the row was locked.
        keys: The idempotency keys of the row.
        appends: The journal of changes of the items.
        lost_appends: The ids of changes of the items whose answers were lost, and which must not land any more.
    """

    summary: Summary
    now: datetime
    keys: str
    appends: str
    lost_appends: str = ""


# Skips the Python-level __new__ of named tuples: each session needs several of them.
_new = tuple.__new__


def key_of(row: Row) -> Key:
    """Returns the key at the start of a row."""
    return _new(Key, row[:2])


def summary_of(row: Row) -> Summary:
    """Returns the summary at the start of a row.

    Raises:
        SchemaError: A column holds no whole number, because another program changed its type.
    """
    _check_numbers(row)
    return _new(Summary, (_new(Key, row[:2]), *row[2:_SUMMARY_COLUMNS], (), False))


def written(write: Write, row: Row) -> Summary:
    """Returns the summary after a write, from the write and from the row that `update` returned."""
    key, version, created_at, _, _, _, deadline, ttl, origin, owner_id, _, _, _, _, _ = write.read
    _, _, now, expires_at, last_position, item_count = row[:6]
    if not (type(last_position) is type(item_count) is int):
        raise not_whole({"last_position": last_position, "item_count": item_count})
    facts = (key, version + write.count, created_at, now, now, expires_at, deadline, ttl, origin, owner_id)
    appended = range(last_position - len(write.items) + 1, last_position + 1) if write.items else ()
    return _new(Summary, (*facts, write.id, last_position, item_count, appended, False))


def locked_of(row: Row) -> Locked:
    """Returns the locked row from a row of the statement `lock`."""
    return _new(Locked, (summary_of(row), *row[_SUMMARY_COLUMNS:]))


def read_under_lock(row: Row) -> Locked:
    """Returns the locked row from a row of the statement `get_locked`."""
    _, keys, appends = row[_JOURNAL:_ITEMS]
    return Locked(summary_of(row), row[NOW], keys, appends)


def newly_locked(row: Row) -> Locked:
    """Returns the row that this transaction has created, from a row of the statement `create`."""
    summary = summary_of(row)
    return Locked(summary, summary.created_at, "", "")


def with_summary(row: Row, summary: Summary) -> Row:
    """Returns a row with another summary at its start."""
    return (*summary.key, *summary[1 : _SUMMARY_COLUMNS - 1], *row[_SUMMARY_COLUMNS:])


def document_of(row: Row) -> Document:
    """Returns the document in a row."""
    return _new(Document, (row[STATE], summary_of(row), *_rest_of(row), row[STATE_VERSION], row[NOW]))


def accessed(row: Row) -> Document:
    """Returns the document in a row, with this access as its last access."""
    _check_numbers(row)
    rest = row[_LAST_ACCESSED_AT + 1 : _SUMMARY_COLUMNS]
    summary = _new(Summary, (_new(Key, row[:2]), *row[2:_LAST_ACCESSED_AT], row[NOW], *rest, (), False))
    return _new(Document, (row[STATE], summary, *_rest_of(row), row[STATE_VERSION], row[NOW]))


def expired_early(row: Row, *, now: int = NOW) -> bool:
    """Returns whether a new session used up its TTL while its statement waited, and had expired at the time `now`.

    False for a session without a TTL, because the caller may have asked for so short a maximum lifetime.
    """
    expires_at = row[_EXPIRES_AT]
    return row[_TTL] is not None and expires_at is not None and bool(expires_at <= row[now])


def _check_numbers(row: Row) -> None:
    if not (type(row[_VERSION]) is type(row[_LAST_POSITION]) is type(row[_ITEM_COUNT]) is int):
        names = {"version": _VERSION, "last_position": _LAST_POSITION, "item_count": _ITEM_COUNT}
        raise not_whole({name: row[index] for name, index in names.items()})


def _rest_of(row: Row) -> tuple[Journal | None, Sequence[StoredItem]]:
    """Returns the journal and the items in a row, if the statement read them."""
    columns = len(row)
    if columns <= _JOURNAL:
        return None, ()
    journal = _new(Journal, row[_JOURNAL:_ITEMS]) if columns >= _ITEMS else None
    return journal, () if columns == _ITEMS else row[-1]
