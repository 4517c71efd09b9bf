"""How sessions and rows become each other: the fields that statements are given, and the columns that they return."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import orjson

from ....ids import LAST_VERSION, Version
from ... import Document, Draft, Key, Summary, Write
from ...journal import Journal, entry, new_write_id
from ..drivers.driver import Row
from ..tables import micros

Fields: TypeAlias = dict[str, Any]
"""The values of one row, by their names in the statement; documents as text."""

_NO_VERSION: Final = -1
"""A number that databases can compare, and that no session has for its version."""

_LAST_ACCESSED_AT: Final = 5
_EXPIRES_AT: Final = 6
OWNER_ID: Final = 10
_SUMMARY_COLUMNS: Final = 12
"""The key takes two. Where a row reads a document, its state and what tells how the access went come after these."""

SET_AT: Final = _SUMMARY_COLUMNS
"""Where a row that was set has the time at the end of its statement; then comes whether its expiry has to be moved."""

STATE, NOW, DUE, CREATED, _JOURNAL = range(_SUMMARY_COLUMNS, _SUMMARY_COLUMNS + 5)

# Named tuples are made of tuples here, without the function in between: there are several of them to a session.
_new = tuple.__new__


def key_fields(key: Key) -> Fields:
    """What finds a row."""
    return {"namespace": key[0], "session_id": key[1]}


def unique(keys: Iterable[Key]) -> Iterable[Fields]:
    """What finds rows, each of them once."""
    return map(key_fields, dict.fromkeys(keys))


def write_fields(write: Write) -> Fields:
    """What update takes."""
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
    }


def draft_fields(draft: Draft) -> Fields:
    """What create takes."""
    return key_fields(draft.key) | {
        "state": draft.state,
        "version": draft.version,
        "ttl": micros(draft.ttl),
        "max_lifetime": micros(draft.max_lifetime),
        "origin": draft.origin,
        "owner_id": draft.owner_id,
    }


def deletion_fields(key: Key, receipt: str, owner_id: str | None, version: int | None) -> Fields:
    """What delete takes."""
    if version is not None and not 0 < version <= LAST_VERSION:
        version = _NO_VERSION
    write = version.write if isinstance(version, Version) else None
    return key_fields(key) | {"receipt": receipt, "owner_id": owner_id, "version": version, "last_write": write}


def set_fields(draft: Draft) -> Fields:
    """What set takes."""
    return draft_fields(draft) | {"write": entry(new_write_id(), 1)}


def packed(batch: Iterable[Fields]) -> str:
    """The fields of several rows in one parameter, with documents put in as the JSON that they are already."""
    return orjson.dumps([_embedded(fields) for fields in batch]).decode()


def _embedded(fields: Fields) -> Fields:
    documents = {name: fields[name] for name in ("state", "origin") if fields.get(name) is not None}
    return fields | {name: orjson.Fragment(document) for name, document in documents.items()}


def key_of(row: Row) -> Key:
    """The key of a row that begins with one."""
    return _new(Key, row[:2])


def summary_of(row: Row) -> Summary:
    """The summary of a row that begins with one."""
    return _new(Summary, (_new(Key, row[:2]), *row[2:_SUMMARY_COLUMNS]))


def written(write: Write, row: Row) -> Summary:
    """The summary of what was written, of a row that tells what the write changed."""
    key, version, created_at, _, _, _, *rest, _ = write.read
    _, _, now, expires_at = row
    return _new(Summary, (key, version + write.count, created_at, now, now, expires_at, *rest, write.id))


def document_of(row: Row) -> Document:
    """The document of a row that reads one."""
    return _new(Document, (row[STATE], summary_of(row), _journal_of(row)))


def accessed(row: Row) -> Document:
    """The document of a row that reads one, as this access leaves it."""
    rest = row[_LAST_ACCESSED_AT + 1 : _SUMMARY_COLUMNS]
    summary = _new(Summary, (_new(Key, row[:2]), *row[2:_LAST_ACCESSED_AT], row[NOW], *rest))
    return _new(Document, (row[STATE], summary, _journal_of(row)))


def over(row: Row, *, now: int = NOW) -> bool:
    """Whether the session of a row that tells the time had expired by then."""
    expires_at = row[_EXPIRES_AT]
    return expires_at is not None and expires_at <= row[now]


def _journal_of(row: Row) -> Journal | None:
    return _new(Journal, row[_JOURNAL:]) if len(row) > _JOURNAL else None
