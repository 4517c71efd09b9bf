"""Copies of pydantic models: a model that this process has validated is copied for the next reader."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from enum import Enum
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)
S = TypeVar("S")

_CAPACITY: Final = 8_000_000
"""How many characters the kept texts may have together."""

_ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes})
_set: Final = object.__setattr__


class _Node(NamedTuple):
    """How to copy a value.

    Attributes:
        kind: The class of a model; None: the value is a dict or a list, or has another class and no members.
        value: The fields of the model, or the value.
        names: The fields of the model that were set.
        members: The members that have to be copied too, each with its key or index.
    """

    kind: type[BaseModel] | None
    value: Any
    names: set[str]
    members: _Members


_Members: TypeAlias = tuple[tuple[Any, _Node], ...]
_NO_NAMES: Final[set[str]] = set()


class Copies(Generic[M]):
    """Reads models of one class from JSON texts. Keeps the newest texts, and the models that were read twice.

    To validate a large model takes several times as long as to copy it. A kept model is copied if the same text is read
    again. Each reader gets a model of its own.

    Args:
        kind: The class.
    """

    def __init__(self, kind: type[M]) -> None:
        self._kind = kind
        self._kept: dict[str, _Node | None] = {}
        self._chars = 0

    def read(self, text: str, load: Callable[[S], object], stored: S) -> M:
        """Returns a new model.

        Args:
            text: The JSON text.
            load: Makes the JSON value from ``stored``. Not called if the text was read twice before.
            stored: The stored value.

        Raises:
            ValidationError: The value does not fit the class.
            Exception: What ``load`` raises.
        """
        node = self._kept.get(text)
        if node is None:
            model = self._kind.model_validate(load(stored))
            if text not in self._kept:
                self._keep(text)
                return model
            node = self._kept[text] = _node(model)
        copied: M = _copied(node)
        return copied

    def _keep(self, text: str) -> None:
        if len(text) > _CAPACITY // 100:
            return
        self._kept[text] = None  # read() adds the model if the text is read again
        self._chars += len(text)
        while self._chars > _CAPACITY:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._chars -= len(oldest)


def _node(value: Any) -> _Node:
    """Returns how to copy a value. Nobody changes the value afterwards."""
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
    """A value of another class, for which deepcopy() is used."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def copy(self) -> Any:
        return deepcopy(self._value)
