"""The parameters of statements: what records become on their way to the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import orjson

from ....ids import LAST_VERSION, Version
from ... import Append, Draft, Fork, Key, NewItem, Write
from ...journal import KEY_CHARS, append_entry, entry, new_write_id
from ..tables import micros

Fields: TypeAlias = dict[str, Any]
"""The values of one row by parameter name, with documents as JSON text."""

_NO_VERSION: Final = -1
"""A version that no session has. Replaces versions that are out of the database's range."""

LAST_POSITION: Final = (1 << 63) - 1
"""The largest position that the database can hold."""


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
    """Returns the fields of the statements `set` and `renew`. ``count``: how many callers this write serves."""
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
    """Encodes items as a JSON array. Each text becomes a JSON string, so that the database keeps it as it is."""
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
    """Returns whether all states among the parameters of a statement have the shape version 1."""
    batch = orjson.loads(params["batch"]) if "batch" in params else (params,)
    return all(fields.get("state_version", 1) == 1 for fields in batch)


def _embedded(fields: Fields) -> Fields:
    documents = {name: fields[name] for name in ("state", "origin", "items") if fields.get(name) is not None}
    return fields | {name: orjson.Fragment(document) for name, document in documents.items()}
