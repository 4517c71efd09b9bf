"""Checks that a state was read back as it was written: equal, with the same types, at every depth.

Python's ``==`` does not suffice: 1, 1.0 and True are equal, one class may call its instances equal to anything, and
another class may compare by identity. So values are compared by type and part by part, and only values without parts by
``==``.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from datetime import datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel, RootModel, Secret, SecretBytes, SecretStr

from .comparison import Comparison, Way
from .jsontext import Refused
from .scalars import EXACT, decimal, iterator, member_of_enum, moment, scalar, time_of_day
from .schema import Unstored

_ROOTS_WITHOUT_PARTS: Final = (sys.stdlib_module_names | {"pydantic", "pydantic_core"}) - {"collections", "types"}
"""Packages whose classes define ``==``. Their attributes are private data, such as the hash that a Path keeps."""


class Equality:
    """Compares the states of one type.

    Args:
        unstored: The fields that the type declares as not stored. They are not compared.
    """

    def __init__(self, unstored: Unstored) -> None:
        self._unstored = unstored
        self._ways = _Ways()

    def check(self, given: object, read: object) -> None:
        """Compares a state with the state that was read back.

        Raises:
            Refused: The two states differ in a value or a type. The error names the first place where they differ.
        """
        refused: Refused | None = None
        try:
            Comparison(self._unstored, self._ways).same(given, read)
        except Refused as error:
            refused = Refused(error.reason, error.steps)
        except Exception as error:  # noqa: BLE001  # __eq__ of a user's class may raise anything, and quote the state
            raised = type(error).__name__
            refused = Refused(f"cannot be compared with the value that is read back: a comparison raised {raised}")
        if refused is not None:
            raise refused


_WAYS: Final[dict[type, Way]] = {
    **dict.fromkeys(EXACT, scalar),  # datetime is replaced below
    complex: scalar,
    bytearray: scalar,
    OrderedDict: Comparison.ordered,
    defaultdict: Comparison.factory,
    dict: Comparison.mapping,
    list: Comparison.sequence,
    tuple: Comparison.sequence,
    deque: Comparison.queue,
    set: Comparison.collection,
    frozenset: Comparison.collection,
    datetime: moment,
    time: time_of_day,
    Decimal: decimal,
    BaseModel: Comparison.model,
    RootModel: Comparison.root,
    Enum: member_of_enum,
    Secret: Comparison.secret,
    SecretStr: Comparison.secret,
    SecretBytes: Comparison.secret,
}


_MODELS: Final[tuple[type, ...]] = (RootModel, BaseModel, Enum, Secret, SecretStr, SecretBytes)


class _Ways(dict[type, Way]):
    """The comparison of each type. It is chosen once, at the first value of the type."""

    def __missing__(self, kind: type) -> Way:
        way = self[kind] = _way(kind)
        return way


def _way(kind: type) -> Way:
    if kind in _WAYS:
        return _WAYS[kind]
    base = next((base for base in _MODELS if issubclass(kind, base)), None)
    if base is not None:
        return _WAYS[base]
    base = next((base for base in kind.__mro__ if base in _WAYS), None)
    if base is not None:
        return _of_subclass(_WAYS[base])
    if is_dataclass(kind):
        return Comparison.dataclass
    if issubclass(kind, Mapping):
        return Comparison.mapping
    if issubclass(kind, Iterator):
        return iterator
    if kind.__module__.partition(".")[0] in _ROOTS_WITHOUT_PARTS:
        return Comparison.opaque
    return Comparison.instance


def _of_subclass(way: Way) -> Way:
    """Compares instances of a subclass of a builtin type: as the builtin type, and by their attributes."""

    def both(comparison: Comparison, given: Any, read: Any) -> None:
        way(comparison, given, read)
        comparison.attributes(given, read)

    return both
