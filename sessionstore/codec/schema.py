"""What pydantic's schema of a state type tells beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

_NOTHING: Final[frozenset[str]] = frozenset()
_NO_SCHEMAS: Final = frozenset({"metadata", "expected", "cls", "default"})

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
"""The kinds of schema that make the same of an object, whatever the order of its keys."""


class Unstored:
    """What a state type declares as not stored (``Field(exclude=True)``), and which names its typed dicts have."""

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
        """The keys of what may be a typed dict that are not stored."""
        return next((excluded for names, excluded in self._dicts if state.keys() <= names), _NOTHING)


def order_matters(adapter: TypeAdapter[Any]) -> bool:
    """Whether the order of keys may matter to what is read: to an OrderedDict, or to a function of the type's own."""
    for node in nodes(adapter.core_schema):
        kind = node.get("type")
        if isinstance(kind, str) and kind not in _IN_ANY_ORDER:
            return True
        if node.get("post_init") or node.get("custom_init"):
            return True
    return False


def nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every part of a schema that has a type, or may have one."""
    waiting, seen = [schema], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, dict):
            yield node
            # The same names may be fields of a model; a mapping of fields has no type of its own.
            passed = _NO_SCHEMAS if isinstance(node.get("type"), str) else _NOTHING
            waiting += [inner for key, inner in node.items() if key not in passed]
        elif isinstance(node, list | tuple):
            waiting += node


def _is_excluded(field: Mapping[str, Any]) -> bool:
    return field.get("serialization_exclude") is True


def _arguments(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The fields of a dataclass, around which validators may lie."""
    return next((inner for inner in nodes(node["schema"]) if inner.get("type") == "dataclass-args"), None)
