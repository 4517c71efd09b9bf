"""Copies of pydantic models: what was validated once in this process is copied for the next reader."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from enum import Enum
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)

_CAPACITY: Final = 8_000_000
"""The most characters of all models that are kept."""

_ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes})

Copy: TypeAlias = Callable[[], Any]
_set: Final = object.__setattr__


class _Kept(NamedTuple):
    """What a model was read from, how to copy the model, and its length."""

    data: object
    copy: Copy
    chars: int


class Copies(Generic[M]):
    """Reads models of one class from JSON values, and keeps the newest.

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
        if kept is not None and kept.data == data:
            copied: M = kept.copy()
            return copied
        model = self._kind.model_validate(data)
        self._keep(name, data, model)
        return model

    def _keep(self, name: str, data: object, model: M) -> None:
        chars = _length(data)
        if chars > _CAPACITY // 100:
            return
        # Made from a copy, because the caller may change the model.
        kept = _Kept(data, _model(deepcopy(model)), chars)
        if (before := self._kept.pop(name, None)) is not None:
            self._chars -= before.chars
        self._kept[name] = kept
        self._chars += chars
        while self._chars > _CAPACITY and self._kept:
            self._chars -= self._kept.pop(next(iter(self._kept))).chars


def _length(value: object) -> int:
    """Returns about how many characters a JSON value has."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum([len(key) + 8 + _length(member) for key, member in value.items()])
    return sum(map(_length, value)) + 8 if isinstance(value, list) else 8


def _copier(value: Any) -> Copy | None:
    """Returns a function that copies the value; None: the value need not be copied."""
    kind = type(value)
    if kind in _ATOMS or isinstance(value, Enum):
        return None
    if kind is dict:
        return _container(value, [(key, _copier(member)) for key, member in value.items()])
    if kind is list:
        return _container(value, [(index, _copier(member)) for index, member in enumerate(value)])
    if isinstance(value, BaseModel) and value.__pydantic_private__ is None and value.__pydantic_extra__ is None:
        return _model(value)
    return lambda: deepcopy(value)


def _container(value: Any, members: list[tuple[Any, Copy | None]]) -> Copy:
    copied = [(at, copy) for at, copy in members if copy is not None]
    if not copied:
        return value.copy  # type: ignore[no-any-return]

    def copy() -> Any:
        new = value.copy()
        for at, copy_member in copied:
            new[at] = copy_member()
        return new

    return copy


def _model(model: BaseModel) -> Copy:
    """Returns a function that copies a model as pydantic's own model_copy(deep=True) does."""
    kind, fields = type(model), _copier(model.__dict__)
    new, names = kind.__new__, model.__pydantic_fields_set__
    assert fields is not None

    def copy() -> Any:
        copied = new(kind)
        _set(copied, "__dict__", fields())
        _set(copied, "__pydantic_fields_set__", names.copy())
        _set(copied, "__pydantic_extra__", None)
        _set(copied, "__pydantic_private__", None)
        return copied

    return copy
