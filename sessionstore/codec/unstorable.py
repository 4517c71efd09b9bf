"""Replaces characters that no storage keeps: NUL (jsonb refuses it), and lone surrogates (UTF-8 cannot encode them)."""

from __future__ import annotations

import copy
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any, Final

from pydantic import BaseModel

from .jsontext import MAX_DEPTH, Refused, named

REPLACEMENT: Final = "\ufffd"

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


def replaced(value: Any) -> Any:
    """Returns a copy of the value with U+FFFD for each character that cannot be stored; without any, the value itself.

    Raises:
        Refused: Two keys of an object, or two members of a set, would become equal; or the value is nested too deep; or
            a class of the caller's own raised when its instance was copied or filled.
    """
    try:
        return _replaced(value)
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001  # a class of the caller's own may raise anything
        raise _not_replaced(value, error) from None


def _replaced(value: Any) -> Any:
    if type(value) is str:
        return _UNSTORABLE.sub(REPLACEMENT, value) if _UNSTORABLE.search(value) else value
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, list | tuple | deque):
        return _sequence(value)
    if isinstance(value, set | frozenset):
        return _collection(value)
    if isinstance(value, BaseModel):
        return _model(value)
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if hasattr(value, field.name)]
        changed = _changed((name, getattr(value, name)) for name in names)
        return _rebuilt(value, changed)
    return value


def _changed(members: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """The members that change, with their new values."""
    changed: dict[Any, Any] = {}
    for step, member in members:
        becomes = _inside(step, member)
        if becomes is not member:
            changed[step] = becomes
    return changed


def _inside(step: object, member: Any) -> Any:
    try:
        return _replaced(member)
    except Refused as refused:
        refused.inside(step)
        raise
    except Exception as error:  # noqa: BLE001  # as above
        failed = _not_replaced(member, error)
        failed.inside(step)
        raise failed from None


def _not_replaced(value: object, error: Exception) -> Refused:
    if isinstance(error, RecursionError):
        return Refused(f"is nested more than {MAX_DEPTH} levels deep; flatten it")
    return Refused(
        f"is {named(type(value))} in which U+FFFD cannot take the place of what cannot be stored "
        f"({type(error).__name__})"
    )


def _object(value: dict[Any, Any]) -> dict[Any, Any]:
    members = {}
    same = True
    for key, member in value.items():
        name, becomes = _replaced(key), _inside(key, member)
        same = same and name is key and becomes is member
        if name in members:
            refused = Refused("is a key that equals another key once U+FFFD replaces unstorable characters; rename one")
            refused.inside(key)
            raise refused
        members[name] = becomes
    if same:
        return value
    rebuilt = copy.copy(value)
    rebuilt.clear()
    rebuilt.update(members)
    return rebuilt


def _sequence(value: Any) -> Any:
    changed = _changed(enumerate(value))
    if not changed:
        return value
    members = [changed.get(index, member) for index, member in enumerate(value)]
    if isinstance(value, tuple):
        make = getattr(value, "_make", type(value))
        return make(members)
    rebuilt = copy.copy(value)
    rebuilt.clear()
    rebuilt.extend(members)
    return rebuilt


def _collection(value: Any) -> Any:
    changed = _changed(enumerate(value))
    if not changed:
        return value
    members = {changed.get(index, member) for index, member in enumerate(value)}
    if len(members) < len(value):
        raise Refused("has two members that are equal once U+FFFD replaces unstorable characters; change one")
    return type(value)(members)


def _model(value: BaseModel) -> BaseModel:
    changed = _changed(value.__dict__.items())
    extra = value.__pydantic_extra__
    others = extra and _object(extra)
    if not changed and others is extra:
        return value
    rebuilt = copy.copy(value)
    vars(rebuilt).update(changed)
    object.__setattr__(rebuilt, "__pydantic_extra__", others)
    return rebuilt


def _rebuilt(value: Any, changed: dict[str, Any]) -> Any:
    if not changed:
        return value
    rebuilt = copy.copy(value)
    for name, member in changed.items():
        object.__setattr__(rebuilt, name, member)  # works for frozen dataclasses too
    return rebuilt
