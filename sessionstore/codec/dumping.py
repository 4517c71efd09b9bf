"""Dumps a typed state with pydantic, and finds the part of the state that pydantic cannot dump."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from .jsontext import MAX_DEPTH, Refused, named
from .shapes import parts


def dump(adapter: TypeAdapter[Any], state: object) -> Any:
    """Dumps a state to JSON values, under the names of its fields and without computed fields.

    Raises:
        Refused: pydantic or a serializer of the state type failed; with the place.
    """
    try:
        return _dump(adapter, state)
    except Exception as error:  # noqa: BLE001  # a serializer may raise anything, and its text may quote the state
        raised = _cause_of(error)
        refused = _located(adapter, state, type(raised).__name__) if isinstance(raised, Exception) else None
    if refused is None:  # pydantic wraps a KeyboardInterrupt too
        raise raised
    raise refused


def _dump(adapter: TypeAdapter[Any], state: object, include: Any = None) -> Any:
    return adapter.dump_python(state, mode="json", include=include, by_alias=False, round_trip=True, warnings=False)


def _cause_of(error: BaseException) -> BaseException:
    """The error that a serializer raised, without pydantic's wrapping."""
    while isinstance(error, PydanticSerializationError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _located(adapter: TypeAdapter[Any], state: object, error: str) -> Refused:
    """Finds the part that pydantic cannot dump: dumps smaller and smaller parts of the state, level by level."""
    steps: list[object] = []
    value = state
    above: set[int] = set()
    while len(steps) < MAX_DEPTH:
        if id(value) in above:
            return Refused("contains itself, which JSON cannot hold; store an id instead", steps)
        above.add(id(value))
        found = _failing(adapter, state, steps, value)
        if found is None:
            return Refused(
                f"is {named(type(value))} that pydantic cannot dump to JSON ({error}){_advice(value)}", steps
            )
        steps.append(found[0])
        value = found[1]
    return Refused(f"is nested more than {MAX_DEPTH} levels deep; flatten it", steps)


def _advice(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return '; give its model, or the TypeAdapter, a config with ser_json_bytes="base64" and val_json_bytes="base64"'
    return ""


def _failing(
    adapter: TypeAdapter[Any], state: object, steps: Sequence[object], value: object
) -> tuple[object, object] | None:
    """The first part of a value that cannot be dumped, found by bisection; None: the value itself cannot be dumped."""
    try:
        inside = list(parts(value))
    except Exception:  # noqa: BLE001  # a class of the caller's own may raise where its attributes are read
        return None
    if not inside or not _dumps(adapter, state, steps, []):
        return None
    if _dumps(adapter, state, steps, [step for step, _ in inside]):
        return None
    while len(inside) > 1:
        half = inside[: len(inside) // 2]
        inside = inside[len(half) :] if _dumps(adapter, state, steps, [step for step, _ in half]) else half
    return inside[0]


def _dumps(adapter: TypeAdapter[Any], state: object, steps: Sequence[object], last: Sequence[object]) -> bool:
    """Whether the state can be dumped when it is reduced to some parts of one value.

    Args:
        adapter: The state type.
        state: The whole state.
        steps: The steps that lead to the value.
        last: The steps from the value to the parts that are kept.
    """
    include: Any = dict.fromkeys(last, True)
    for step in reversed(steps):
        include = {step: include}
    try:
        _dump(adapter, state, include)
    except Exception:  # noqa: BLE001  # a serializer may raise anything
        return False
    return True
