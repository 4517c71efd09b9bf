"""Copies of pydantic models: what was validated once in this process is copied for the next reader."""

from __future__ import annotations

from copy import deepcopy
from enum import Enum
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import orjson
from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)

_CAPACITY: Final = 8_000_000
"""The most characters of all values that are kept."""

_ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes})
_set: Final = object.__setattr__


class _Node(NamedTuple):
    """How to copy a value.

    Attributes:
        kind: The class of a model; None: the value is a dict or a list, or has another class and no members.
        value: The fields of the model, or the value.
        names: The fields of the model that were set.
        members: Those members that have to be copied too, each with its key or index.
    """

    kind: type[BaseModel] | None
    value: Any
    names: set[str]
    members: _Members


_Members: TypeAlias = tuple[tuple[Any, _Node], ...]
_NO_NAMES: Final[set[str]] = set()


class _Kept:
    """A JSON value that was read, its length, and how to copy the model; None: it was read only once."""

    __slots__ = ("chars", "data", "node")

    def __init__(self, data: object, chars: int) -> None:
        self.data = data
        self.chars = chars
        self.node: _Node | None = None


class Copies(Generic[M]):
    """Reads models of one class from JSON values, and keeps the newest that are read again.

    Validating a large model takes several times as long as copying it. A model is only copied if it was read from an
    equal JSON value. Each reader gets a model of its own.

    Args:
        kind: The class.
    """

    def __init__(self, kind: type[M]) -> None:
        self._kind = kind
        self._kept: dict[str, _Kept] = {}
        self._chars = 0

    def read(self, name: str, data: object) -> M:
        """Returns a new model.

        Args:
            name: A name for what is read. Equal values of different names are kept apart.
            data: The JSON value. It is kept, and must not be changed.

        Raises:
            ValidationError: The value does not fit the class.
        """
        kept = self._kept.get(name)
        if kept is None or kept.data != data:
            model = self._kind.model_validate(data)
            self._keep(name, data)
            return model
        if kept.node is None:
            kept.node = _node(self._kind.model_validate(data))
        copied: M = _copied(kept.node)
        return copied

    def _keep(self, name: str, data: object) -> None:
        try:
            chars = len(orjson.dumps(data))
        except TypeError:  # what orjson cannot write is rare, and validated each time
            return
        if chars > _CAPACITY // 100:
            return
        if (before := self._kept.pop(name, None)) is not None:
            self._chars -= before.chars
        self._kept[name] = _Kept(data, chars)
        self._chars += chars
        while self._chars > _CAPACITY:
            self._chars -= self._kept.pop(next(iter(self._kept))).chars


def _node(value: Any) -> _Node:
    """Returns how to copy a value that nobody changes."""
    if isinstance(value, BaseModel) and value.__pydantic_private__ is None and value.__pydantic_extra__ is None:
        fields = value.__dict__
        return _Node(type(value), fields, value.__pydantic_fields_set__, _members(fields.items()))
    if type(value) is dict:
        return _Node(None, value, _NO_NAMES, _members(value.items()))
    if type(value) is list:
        return _Node(None, value, _NO_NAMES, _members(enumerate(value)))
    return _Node(None, _Deep(value), _NO_NAMES, ())


def _members(members: Any) -> _Members:
    return tuple((at, _node(it)) for at, it in members if type(it) not in _ATOMS and not isinstance(it, Enum))


def _copied(node: _Node) -> Any:
    """Copies a value as pydantic's own model_copy(deep=True) does."""
    kind, value, names, members = node
    copy = value.copy()
    for at, member in members:
        copy[at] = _copied(member)
    if kind is None:
        return copy
    model = kind.__new__(kind)
    _set(model, "__dict__", copy)
    _set(model, "__pydantic_fields_set__", names.copy())
    _set(model, "__pydantic_extra__", None)
    _set(model, "__pydantic_private__", None)
    return model


class _Deep:
    """A value of a class that is unknown here. Its copy is a deep one."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def copy(self) -> Any:
        return deepcopy(self._value)
