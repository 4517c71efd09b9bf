"""The conversion between records and rows: the fields that statements take, the columns that they return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from ....ids import LAST_VERSION, Version
from ... import Append, Document, Draft, Fork, Key, NewItem, StoredItem, Summary, Write
from ...journal import KEY_CHARS, Journal, append_entry, entry, new_write_id
from ..drivers.driver import Row
from ..structure import not_whole
from ..tables import micros

Fields: TypeAlias = dict[str, Any]
"""The values of one row by parameter name, with documents as JSON text."""

_NO_VERSION: Final = -1
"""A version that no session has. Replaces versions that are out of the database's range."""

LAST_POSITION: Final = (1 << 63) - 1
"""The largest position that the database can hold."""

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
        lost_appends: The ids of changes that must not land.
    """

    summary: Summary
    now: datetime
    keys: str
    appends: str
    lost_appends: str = ""


# Skips the Python-level __new__ of named tuples: each session needs several of them.
_new = tuple.__new__


def key_fields(key: Key) -> Fields:
    """Returns the fields that find one row."""
    return {"namespace": key[0], "session_id": key[1]}


def unique(keys: Iterable[Key]) -> Iterable[Fields]:
    """Returns the fields that find these rows, each key once."""
    return map(key_fields, dict.fromkeys(keys))


def write_fields(write: Write) -> Fields:
    """Returns the fields of the statement `update`."""
    namespace, session_id = write.read.key
    return {
        "namespace": namespace,
        "session_id": session_id,
        "state": write.state,
        "version": write.read.version,
        "last_write": write.read.last_write,
        "count": write.count,
        "write": entry(write.id, write.count),
        "keys": write.keys,
        "keys_read": write.keys_read,
        "state_version": write.state_version,
    }


def draft_fields(draft: Draft) -> Fields:
    """Returns the fields of the statement `create`."""
    return key_fields(draft.key) | {
        "state": draft.state,
        "version": draft.version,
        "ttl": micros(draft.ttl),
        "max_lifetime": micros(draft.max_lifetime),
        "origin": draft.origin,
        "owner_id": draft.owner_id,
        "state_version": draft.state_version,
    }


def deletion_fields(key: Key, receipt: str, owner_id: str | None, version: int | None) -> Fields:
    """Returns the fields of the statement `delete`."""
    if version is not None and not 0 < version <= LAST_VERSION:
        version = _NO_VERSION
    write = version.write if isinstance(version, Version) else None
    return key_fields(key) | {"receipt": receipt, "owner_id": owner_id, "version": version, "last_write": write}


def set_fields(draft: Draft, write_id: str, count: int) -> Fields:
    """Returns the fields of the statements `set` and `renew`, which set a session for so many callers at once."""
    return draft_fields(draft) | {"write": entry(write_id, count), "count": count}


def append_fields(append: Append) -> Fields:
    """Returns the fields of the statement `append`."""
    return (
        key_fields(append.key)
        | _item_fields(append.id, append.items)
        | {
            "owner_id": append.owner_id,
            "expected": append.expected_position,
            "digest": append.digest,
            "key_chars": append.keys * KEY_CHARS,
        }
    )


def finding_fields(append: Append) -> Fields:
    """Returns the fields of the statement `append_to_found`."""
    assert append.create is not None
    return append_fields(append) | {"version": append.create.version}


def founding_fields(append: Append) -> Fields:
    """Returns the fields of the statement `append_or_create`."""
    assert append.create is not None
    return draft_fields(append.create) | append_fields(append)


def update_fields(write: Write) -> Fields:
    """Returns the fields of the statement `update_with_items`."""
    return write_fields(write) | _item_fields(write.id, write.items)


def _item_fields(write_id: str, items: Sequence[NewItem]) -> Fields:
    # A write without items leaves the journal of appends alone.
    return {
        "append_id": write_id,
        "append_entry": append_entry(write_id, len(items)) if items else "",
        "appended": len(items),
        "items": elements_of(items),
    }


def item_fields(key: Key, item: NewItem, position: int, write_id: str | None) -> Fields:
    """Returns the fields of the statement `add_items`."""
    return key_fields(key) | {
        "log": item.log,
        "position": position,
        "item": item.text,
        "item_id": item.id,
        "write": write_id,
        "item_version": item.version,
    }


def elements_of(items: Iterable[NewItem]) -> str:
    """Encodes items as a JSON array. The text of an item becomes a JSON string, so that the database keeps it."""
    elements: list[dict[str, Any]] = []
    for n, item in enumerate(items, 1):
        element: dict[str, Any] = {"n": n, "i": item.text}
        if item.id is not None:
            element["d"] = item.id
        if item.log:
            element["l"] = item.log
        if item.version != 1:
            element["v"] = item.version
        elements.append(element)
    return orjson.dumps(elements).decode()


def fork_fields(fork: Fork, version: int) -> Fields:
    """Returns the fields of the statement `fork`, with the first version of the copy."""
    source, until = fork.source, fork.until
    return key_fields(fork.key) | {
        "source_namespace": source.namespace,
        "source_session_id": source.session_id,
        "until": None if until is None else max(0, min(until, LAST_POSITION)),
        "owner_id": fork.owner_id,
        "version": version,
        "entry": append_entry(new_write_id(), 0),
    }


def packed(batch: Iterable[Fields]) -> str:
    """Encodes the fields of several rows as one JSON parameter. Documents are embedded as JSON, not as strings."""
    return orjson.dumps([_embedded(fields) for fields in batch]).decode()


def of_first_shape(params: Mapping[str, Any]) -> bool:
    """Whether all states that the parameters of a statement carry have the shape version 1."""
    batch = orjson.loads(params["batch"]) if "batch" in params else (params,)
    return all(fields.get("state_version", 1) == 1 for fields in batch)


def _embedded(fields: Fields) -> Fields:
    documents = {name: fields[name] for name in ("state", "origin", "items") if fields.get(name) is not None}
    return fields | {name: orjson.Fragment(document) for name, document in documents.items()}


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
    """Whether a new session with a TTL had expired by the time in column `now`. Without one it may be short-lived."""
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
