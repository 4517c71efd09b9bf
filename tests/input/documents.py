"""Documents and ids as they come, and what has to become of each: it is kept as it is, or refused at its place.

What is said here of what can be kept is said on its own, from the contract, and not taken from the library.
"""

from __future__ import annotations

import math
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

from hypothesis import strategies as st

from sessionstore.codec.jsontext import jsonpath

Case: TypeAlias = tuple[Any, Any]
"""What is offered as an id, and what is offered as a state."""

_MOST_LEVELS: Final = 200


def _nested(levels: int, inner: Any, *, objects: bool) -> Any:
    for _ in range(levels):
        inner = {"in": inner} if objects else [inner]
    return inner


def _containing_itself() -> Any:
    loop: list[Any] = [1]
    loop.append({"again": loop})
    return loop


_alphabet = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_fair_text = st.text("ab\u00e4\u2603\U0001f600'\"\\%$:?{}\x01\x7f\x85\u2028 ", max_size=6) | st.text(
    _alphabet, max_size=8
)
_special_text = st.sampled_from(
    ["\\u0000", "\\ud800", "'; DROP TABLE sessions; --", "%s %(a)s :x $1 ?", "\U0010ffff\uffff\ufeff", "e\u0301\u00e9"]
) | st.builds(
    lambda text, times: text * times, st.sampled_from(["x", "\u00e4", "\U0001f600", '"']), st.integers(1, 2000)
)
_fair = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([0, 1, -1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 1e15, 1e16, -1e16, 1e22, 1e300, 5e-324, 1.7976931348623157e308, 0.1, 1e-7]),
    _fair_text,
    _special_text,
)
_foul = st.one_of(
    st.sampled_from([float("nan"), float("inf"), float("-inf"), float("1e400"), 2**64, -(2**63) - 1, 10**400]),
    st.sampled_from(["a\0b", "\0", "\ud800", "x\udfff", "\ude00\ud83d"]),
    st.sampled_from([(1, 2), (), {1}, set(), frozenset({"a"}), b"x", bytearray(b"x"), 1j, Decimal("1.5"), ..., object]),
    st.sampled_from([datetime(2031, 1, 1, tzinfo=UTC), date(2031, 1, 1), timedelta(1), UUID(int=1), OrderedDict(a=1)]),
    st.builds(object),
    st.builds(_containing_itself),
)
_keys = st.text("ab\u00e4'%$.", max_size=3) | st.sampled_from(["", " ", "a b", "\n", "\U0001f600", "k" * 50, "[0]"])
_foul_keys = st.sampled_from([0, 1, -1, 1.5, True, None, b"k", (1, 2), "k\0", "k\udc00", float("nan"), UUID(int=1)])
# Keys that would be one and the same as JSON, of which then one were lost.
_colliding = st.sampled_from([{1: "a", "1": "b"}, {True: 1, "true": 2}, {None: 1, "null": 2}, {1.5: 1, "1.5": 2}])
_deep = st.builds(_nested, st.sampled_from([50, 190, 197, 198, 199, 200, 201, 300, 2000]), _fair, objects=st.booleans())


def _of(*weighted: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """One of these, each as often as it is told, which one_of() would not heed."""
    return st.sampled_from([strategy for weight, strategy in weighted for _ in range(weight)]).flatmap(lambda it: it)


def _holding(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=8,
    )


_plain = _holding(_fair, _keys)
_members = st.one_of(_plain, _plain, _plain, _holding(_fair | _foul, _keys), _foul, _colliding, _deep)
_objects = st.dictionaries(_keys, _plain, max_size=4)
documents = _of(
    (12, _objects),
    (3, _plain),
    (2, st.dictionaries(_keys, _members, max_size=4)),
    (1, st.dictionaries(_keys | _foul_keys, _plain, max_size=4)),
    (1, _members),
)
"""States: most can be kept, and what is wrong with the others lies anywhere in them."""

ids = _of(
    (4, st.text("ab'%_\u00e9 ", min_size=1, max_size=6)),
    (4, st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)),
    (4, st.uuids().map(str)),
    (1, st.builds(lambda text, times: text * times, st.sampled_from(["x", "\U0001f600"]), st.integers(250, 257))),
    (1, st.text(max_size=4) | st.sampled_from(["a\ud800", "a\0", "\n", 5, None, b"a", True, ("a",)])),
)
"""Session ids: some are none."""


def is_id(value: object) -> bool:
    """Whether it is a string of 1 to 255 characters without control characters and lone surrogates."""
    if not isinstance(value, str) or not 1 <= len(value) <= 255:
        return False
    return all(unicodedata.category(character) not in ("Cc", "Cs") for character in value)


def faults(state: object) -> set[str]:
    """The places of what cannot be kept, as paths; none: the state is kept."""
    return {jsonpath(steps) for steps in _faults(state, [])} or ({"$"} if state is None else set())


def _faults(value: object, steps: list[str | int]) -> Iterator[list[str | int]]:
    kind = type(value)
    if kind in (dict, list) and len(steps) == _MOST_LEVELS:
        yield steps
    elif isinstance(value, dict) and kind is dict:
        for key, member in value.items():
            inside = [*steps, _step(key)]
            if type(key) is not str or not _is_text(key):
                yield inside
            yield from _faults(member, inside)
    elif isinstance(value, list) and kind is list:
        for index, member in enumerate(value):
            yield from _faults(member, [*steps, index])
    elif not _is_scalar(value):
        yield steps


def _step(key: object) -> str | int:
    return key if isinstance(key, str | int) and not isinstance(key, bool) else f"<{type(key).__name__}>"


def _is_scalar(value: object) -> bool:
    if type(value) is str:
        return _is_text(value)
    if type(value) is int:
        return -(2**63) <= value < 2**64
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) is bool


def _is_text(text: str) -> bool:
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


def same(first: object, second: object) -> bool:
    """Whether they are equal, types included: == alone takes 1, 1.0 and True for one."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second
