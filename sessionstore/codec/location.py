"""Finds the place in a JSON document that pydantic's validation error is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic_core import ErrorDetails


class Place(NamedTuple):
    """A place in a document.

    Attributes:
        steps: The keys and indexes that lead to the place.
        union: Whether the type of the place is a union, and no branch of the union fits.
    """

    steps: Sequence[str | int]
    union: bool = False


def first_place(document: Any, errors: Sequence[ErrorDetails]) -> Place:
    """Returns the first place of a document that does not fit its type.

    The ``loc`` of an error is not only a path: it also holds labels, namely the branch of a union, the tag of a
    discriminated union, and ``[key]``. The labels are left out.

    Args:
        document: The value of the JSON text that was validated.
        errors: The errors that pydantic reports for the document.
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
    """Whether a step leads from a value to one of its parts. With ``absent``, the part may be missing there."""
    if isinstance(value, dict):
        return isinstance(step, str) and (absent or step in value)
    return isinstance(value, list) and isinstance(step, int) and (absent or step < len(value))


def _is_tag(value: Any, steps: Sequence[str | int], *, absent: bool) -> bool:
    """Whether the first of two steps is the tag of a union, although the object also has a member of that name."""
    if len(steps) < 2 or not isinstance(value, dict) or steps[0] not in value.values():
        return False
    inside = value[steps[0]]
    return _leads(value, steps[1], absent=absent) and not _leads(inside, steps[1], absent=absent)
