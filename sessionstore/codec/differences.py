"""How a state differs from what would come back of it, as refusals say it."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from .jsontext import Refused, named


def of_another_type(given: object, read: object) -> Refused:
    """The value would come back as one of another type."""
    if isinstance(given, float) and not isfinite(given):
        return Refused("is not a finite number; JSON has no NaN and no infinity")
    if isinstance(read, Iterator):
        return once()
    mine, theirs = named(type(given)), named(type(read))
    return Refused(f"is {mine} and would come back as {theirs}; store {theirs}, or declare {mine} in the state type")


def other_value(given: object) -> Refused:
    """The value would come back as another one of its type."""
    return Refused(f"is {named(type(given))} that would come back as another one")


def lost(*steps: object) -> Refused:
    """The value would not come back."""
    return Refused("would not come back; the state type does not store it", steps)


def lost_key(key: object) -> Refused:
    """The value would not come back under its key."""
    if type(key) is str:
        return lost(key)
    return Refused(f"is under a key that is {named(type(key))}, which would not come back as such", [key])


def added(step: object) -> Refused:
    """A value would come back that is not in the state."""
    return Refused("is not in the state and would come back", [step])


def once() -> Refused:
    """The value would come back as an iterator, which is empty once it was read."""
    return Refused("would come back as an iterator, which can be read only once; declare a list in the state type")
