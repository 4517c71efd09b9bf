"""The refusals that say how a value differs from the value that would be read back."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from .jsontext import Refused, named


def of_another_type(given: object, read: object) -> Refused:
    """The refusal of a value that would come back as a value of another type."""
    if isinstance(given, float) and not isfinite(given):
        return Refused("is not a finite number, which JSON cannot hold; use None or a string")
    if isinstance(read, Iterator):
        return once()
    mine, theirs = named(type(given)), named(type(read))
    return Refused(f"is {mine} and would come back as {theirs}; store {theirs}, or declare {mine} in the type")


def other_value(given: object) -> Refused:
    """The refusal of a value that would come back as another value of the same type."""
    return Refused(f"is {named(type(given))} that would come back with another value; declare a type that keeps it")


def lost(*steps: object) -> Refused:
    """The refusal of a value that would not come back."""
    return Refused("would be lost: the type does not store it", steps)


def lost_key(key: object) -> Refused:
    """The refusal of a value that would not come back under its key."""
    if type(key) is str:
        return lost(key)
    return Refused(f"is under a key that is {named(type(key))} and would not come back equal; use a string", [key])


def added(step: object) -> Refused:
    """The refusal of a value that was not given, but would be there when it is read back."""
    return Refused("is missing, but the type adds it on reading; set it before storing", [step])


def once() -> Refused:
    """The refusal of a value that would come back as an iterator, which can be read only once."""
    return Refused("would come back as an iterator, which can be read only once; declare a list in the type")
