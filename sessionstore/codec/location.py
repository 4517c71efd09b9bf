"""Where in a JSON document pydantic found that a type does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic_core import ErrorDetails


class Place(NamedTuple):
    """A place in a document.

    Attributes:
        steps: The keys and indexes that lead to it.
        union: Whether its type is a union of which no branch fits.
    """

    steps: Sequence[str | int]
    union: bool = False


def first_place(document: Any, errors: Sequence[ErrorDetails]) -> Place:
    """The first place of a document that does not fit a type.

    The ``loc`` of an error also holds labels, which are no part of the document: the branch of a union, the tag of a
    discriminated union, ``[key]``.

    Args:
        document: The value of the JSON text that was validated.
        errors: What pydantic tells of it.
    """
    loc, missing = errors[0]["loc"], errors[0]["type"].startswith("missing")
    steps: list[str | int] = []
    value: Any = document
    for index, step in enumerate(loc):
        absent = missing and index == len(loc) - 1
        if _leads(value, step, absent=absent) and not _is_tag(value, loc[index : index + 2], absent=missing):
            steps.append(step)
            value = None if absent else value[step]
            continue
        others = [error["loc"] for error in errors if error["loc"][:index] == loc[:index]]
        if len({other[index:][:1] for other in others}) > 1:
            return Place(steps, union=True)
    return Place(steps)


def _leads(value: Any, step: str | int, *, absent: bool) -> bool:
    """Whether a step leads into a value, or, where something is absent, could lead to it."""
    if isinstance(value, dict):
        return isinstance(step, str) and (absent or step in value)
    return isinstance(value, list) and isinstance(step, int) and (absent or step < len(value))


def _is_tag(value: Any, steps: Sequence[str | int], *, absent: bool) -> bool:
    """Whether the first of two steps is the tag of an object, although the object has a member of that name too."""
    if len(steps) < 2 or not isinstance(value, dict) or steps[0] not in value.values():
        return False
    inside = value[steps[0]]
    return _leads(value, steps[1], absent=absent) and not _leads(inside, steps[1], absent=absent)
