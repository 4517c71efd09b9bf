"""The parts of a value: members, fields, attributes and slots, each under its key or index."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property, lru_cache
from types import MemberDescriptorType
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, RootModel

ABSENT: Final = object()
"""Stands for a missing part."""


class Layout(NamedTuple):
    """Where the instances of a class hold their parts.

    Attributes:
        fields: The names of the fields, if the class is a dataclass.
        slots: The descriptors of the slots, by name.
        cached: The names of cached properties. Their values are computed from the other parts, and are no parts.
    """

    fields: tuple[str, ...]
    slots: Mapping[str, Any]
    cached: frozenset[str]


@lru_cache(maxsize=1024)
def layout(kind: Hashable) -> Layout:
    """The layout of a class."""
    assert isinstance(kind, type)  # declared as Hashable, because lru_cache's types do not know that a type is hashable
    slots: dict[str, Any] = {}
    cached: set[str] = set()
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if type(member) is MemberDescriptorType and not name.startswith("__"):
                slots.setdefault(name, member)
            elif isinstance(member, cached_property):
                cached.add(name)
    names = tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()
    return Layout(names, slots, frozenset(cached))


def attributes(value: object) -> dict[str, Any]:
    """The attributes of an instance: from its ``__dict__``, its slots, and the fields of a dataclass."""
    kind: type = type(value)
    where = layout(kind)
    # getattr(), because a field that __init__ does not set has its default as an attribute of the class.
    found = {name: getattr(value, name, ABSENT) for name in where.fields}
    for name, slot in where.slots.items():
        found.setdefault(name, _held_in(slot, value))
    for name, held in getattr(value, "__dict__", {}).items():
        if name not in where.cached:
            found.setdefault(name, held)
    return {name: held for name, held in found.items() if held is not ABSENT}


def default(kind: type, name: str) -> object:
    """Returns the default that a model or a dataclass declares for a field; ABSENT: the field has no default."""
    declared: Any = getattr(kind, "__pydantic_fields__", {}).get(name)
    if declared is None:
        declared = getattr(kind, "__dataclass_fields__", {}).get(name)
    return getattr(declared, "default", ABSENT)


def model_parts(model: BaseModel) -> dict[str, Any]:
    """Returns the fields and extra fields of a model. Private attributes are left out, because they are not stored."""
    return model_fields(model) | (model.__pydantic_extra__ or {})


def model_fields(model: BaseModel) -> dict[str, Any]:
    """The fields of a model, without extra fields."""
    kind: type = type(model)
    cached = layout(kind).cached
    return {name: held for name, held in model.__dict__.items() if name not in cached}


def parts(value: object) -> Iterator[tuple[object, object]]:
    """Yields the parts of a value, each with its key or index. A value of an unknown type has no parts."""
    if isinstance(value, RootModel):
        yield from parts(value.root)
    elif isinstance(value, BaseModel):
        yield from model_parts(value).items()
    elif isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from enumerate(value)
    elif is_dataclass(value):
        yield from attributes(value).items()


def _held_in(slot: Any, value: object) -> Any:
    try:
        return slot.__get__(value)
    except AttributeError:
        return ABSENT
