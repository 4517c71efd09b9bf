"""Reads pydantic's schema of a state type: which fields are not stored, and whether the order of keys matters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

_NOTHING: Final[frozenset[str]] = frozenset()
_NO_SCHEMAS: Final = frozenset({"metadata", "expected", "cls", "default"})
"""The keys of a schema whose values contain no schemas."""

_IN_ANY_ORDER: Final = frozenset(
    {
        *("any", "none", "bool", "int", "float", "decimal", "str", "bytes", "date", "time", "datetime", "timedelta"),
        *("literal", "missing-sentinel", "enum", "list", "tuple", "set", "frozenset", "deque", "dict", "nullable"),
        *("union", "tagged-union", "chain", "lax-or-strict", "json-or-python", "typed-dict", "typed-dict-field"),
        *("model", "model-fields", "model-field", "computed-field", "dataclass", "dataclass-args", "dataclass-field"),
        *("url", "multi-host-url", "uuid", "complex", "json", "definitions", "definition-ref", "default"),
        *("arguments", "call", "is-instance", "is-subclass", "callable", "generator", "to-string", "format"),
    }
)
"""The kinds of schema whose result does not depend on the order of the keys."""


class Unstored:
    """The fields and keys that a state type declares as not stored (``Field(exclude=True)``)."""

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        self._fields: dict[type, frozenset[str]] = {}
        self._dicts: list[tuple[frozenset[str], frozenset[str]]] = []
        for node in nodes(adapter.core_schema):
            if node.get("type") == "typed-dict":
                excluded = frozenset(name for name, field in node["fields"].items() if _is_excluded(field))
                if excluded:
                    self._dicts.append((frozenset(node["fields"]), excluded))
            elif node.get("type") == "dataclass" and (arguments := _arguments(node)) is not None:
                excluded = frozenset(field["name"] for field in arguments["fields"] if _is_excluded(field))
                self._fields[node["cls"]] = excluded

    def fields_of(self, kind: type) -> frozenset[str]:
        """The fields of a model or dataclass that are not stored."""
        found = self._fields.get(kind)
        if found is None:
            found = _NOTHING
            if issubclass(kind, BaseModel):
                fields = kind.__pydantic_fields__.items()
                found = frozenset(name for name, field in fields if field.exclude is True)
            self._fields[kind] = found
        return found

    def keys_of(self, state: Mapping[Any, Any]) -> frozenset[str]:
        """The keys that are not stored, if the mapping has the keys of one of the typed dicts."""
        return next((excluded for names, excluded in self._dicts if state.keys() <= names), _NOTHING)


def order_matters(adapter: TypeAdapter[Any]) -> bool:
    """Whether reading may depend on the order of keys, because the type has an OrderedDict or a function of its own."""
    for node in nodes(adapter.core_schema):
        kind = node.get("type")
        if isinstance(kind, str) and kind not in _IN_ANY_ORDER:
            return True
        if node.get("post_init") or node.get("custom_init"):
            return True
    return False


def nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yields every dict within a schema, the schema itself included."""
    waiting, seen = [schema], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, dict):
            yield node
            # Only a dict with a "type" is a schema. Other dicts map field names, and a field may be named "default".
            skipped = _NO_SCHEMAS if isinstance(node.get("type"), str) else _NOTHING
            waiting += [inner for key, inner in node.items() if key not in skipped]
        elif isinstance(node, list | tuple):
            waiting += node


def _is_excluded(field: Mapping[str, Any]) -> bool:
    return field.get("serialization_exclude") is True


def _arguments(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of a dataclass's fields, which may lie inside schemas of validators."""
    return next((inner for inner in nodes(node["schema"]) if inner.get("type") == "dataclass-args"), None)
