"""Values that no JSON text gives back are refused with their path."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import pytest

from sessionstore.codec.jsontext import Refused
from sessionstore.codec.verbatim import dumps, loads


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Fraction(float):
    pass


class Members(dict[str, Any]):
    pass


class Row(list[Any]):
    pass


class Pair(NamedTuple):
    a: int


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


REFUSED: dict[str, Callable[[], Any]] = {
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "negative infinity": lambda: float("-inf"),
    "tuple": lambda: (1, 2),
    "named tuple": lambda: Pair(1),
    "set": lambda: {1},
    "frozenset": frozenset,
    "bytes": lambda: b"s3cret",
    "bytearray": lambda: bytearray(b"s3cret"),
    "datetime": lambda: datetime(2026, 1, 1),  # noqa: DTZ001
    "decimal": lambda: Decimal(1),
    "uuid": lambda: UUID(int=1),
    "complex": lambda: 1j,
    "str subclass": lambda: Text("s3cret"),
    "int subclass": lambda: Number(1),
    "float subclass": lambda: Fraction(1),
    "dict subclass": lambda: Members(a=1),
    "list subclass": lambda: Row([1]),
    "str enum": lambda: Colour.RED,
    "int enum": lambda: Level.LOW,
    "object": object,
    "type": lambda: dict,
    "fragment": lambda: orjson.Fragment(b"1"),
}
KEYS: dict[str, Any] = {
    "int": 1,
    "float": 1.5,
    "bool": True,
    "None": None,
    "tuple": ("s3cret",),
    "str subclass": Text("s3cret"),
    "str enum": Colour.RED,
    "bytes": b"s3cret",
}


# Beside something that orjson cannot write, another writer has to refuse the same.
@pytest.mark.parametrize("beside", [0, 2**64], ids=["orjson", "fallback"])
@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_a_value_that_json_cannot_keep_is_refused_with_its_path(make: Callable[[], Any], beside: int) -> None:
    for value, path in [
        (make(), "$"),
        ([beside, make()], "$[1]"),
        ({"n": beside, "content": [{"text": make()}]}, "$.content[0].text"),
        ({"o'clock": {"": make()}, "n": beside}, '$["o\'clock"][""]'),
    ]:
        with pytest.raises(Refused) as refused:
            dumps(value)
        assert refused.value.path == path
        assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("beside", [0, 2**64], ids=["orjson", "fallback"])
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_that_is_no_plain_string_is_refused(key: Any, beside: int) -> None:
    with pytest.raises(Refused, match="is a key of type ") as refused:
        dumps({"n": beside, "a": [{"b": 1, key: 1}]})
    assert refused.value.path.startswith("$.a[0]")


def test_the_path_of_a_value_under_a_lone_surrogate_is_ascii() -> None:
    with pytest.raises(Refused) as refused:
        dumps({"\ud800": [b""]})
    assert refused.value.path == r'$["\ud800"][0]'


def test_two_keys_that_are_one_key_in_json_are_refused() -> None:
    with pytest.raises(Refused, match="cannot tell from another key") as refused:
        dumps({"a": {"\ud83d\ude00": 1, "\U0001f600": 2}})
    assert refused.value.path.startswith("$.a[")
    assert loads(dumps({"\ud83d\ude00": 1}).decode()) == {"\U0001f600": 1}


@pytest.mark.parametrize("make", [list, dict], ids=["list", "dict"])
def test_a_value_that_contains_itself_is_refused(make: Callable[[], Any]) -> None:
    loop = make()
    if isinstance(loop, dict):
        loop["a"] = loop["b"] = loop
    else:
        loop += [loop, loop]
    with pytest.raises(Refused, match="levels deep"):
        dumps({"x": loop})
