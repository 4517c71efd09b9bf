"""What pydantic makes of a state for JSON, and where in the state pydantic could not do so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from .jsontext import MAX_DEPTH, Refused, named
from .shapes import parts


def dump(adapter: TypeAdapter[Any], state: object) -> Any:
    """What pydantic makes of a state for JSON, under the names of its fields and without computed ones.

    Raises:
        Refused: pydantic or a serializer of the state type could not, with the place.
    """
    try:
        return _dump(adapter, state)
    except Exception as error:  # noqa: BLE001  # whatever a user's serializer raises; its text and cause may hold the state
        raised = _cause_of(error)
        refused = _located(adapter, state, type(raised).__name__) if isinstance(raised, Exception) else None
    if refused is None:  # pydantic wraps also a KeyboardInterrupt
        raise raised
    raise refused


def _dump(adapter: TypeAdapter[Any], state: object, include: Any = None) -> Any:
    return adapter.dump_python(state, mode="json", include=include, by_alias=False, round_trip=True, warnings=False)


def _cause_of(error: BaseException) -> BaseException:
    """What a serializer raised, which pydantic wraps."""
    while isinstance(error, PydanticSerializationError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _located(adapter: TypeAdapter[Any], state: object, error: str) -> Refused:
    """Finds what in the state pydantic could not dump, by dumping less and less of it."""
    steps: list[object] = []
    value = state
    above: set[int] = set()
    while len(steps) < MAX_DEPTH:
        if id(value) in above:
            return Refused("contains itself", steps)
        above.add(id(value))
        found = _failing(adapter, state, steps, value)
        if found is None:
            return Refused(
                f"is {named(type(value))} that pydantic cannot dump to JSON ({error}){_advice(value)}", steps
            )
        steps.append(found[0])
        value = found[1]
    return Refused(f"is nested more than {MAX_DEPTH} levels deep", steps)


def _advice(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return '; give its model, or the TypeAdapter, a config with ser_json_bytes="base64" and val_json_bytes="base64"'
    return ""


def _failing(
    adapter: TypeAdapter[Any], state: object, steps: Sequence[object], value: object
) -> tuple[object, object] | None:
    """The first part of a value that cannot be dumped without the others; None: it is the value itself."""
    inside = list(parts(value))
    if not inside or not _dumps(adapter, state, steps, []):
        return None
    if _dumps(adapter, state, steps, [step for step, _ in inside]):
        return None
    while len(inside) > 1:
        half = inside[: len(inside) // 2]
        inside = inside[len(half) :] if _dumps(adapter, state, steps, [step for step, _ in half]) else half
    return inside[0]


def _dumps(adapter: TypeAdapter[Any], state: object, steps: Sequence[object], last: Sequence[object]) -> bool:
    """Whether a state can be dumped that has of all only the parts that lie behind some steps."""
    include: Any = dict.fromkeys(last, True)
    for step in reversed(steps):
        include = {step: include}
    try:
        _dump(adapter, state, include)
    except Exception:  # noqa: BLE001  # as above
        return False
    return True
