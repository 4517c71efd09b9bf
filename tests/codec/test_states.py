from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import BaseModel, Field, PlainSerializer, PlainValidator, RootModel

from sessionstore import InvalidStateError
from sessionstore.codec.jsontext import MAX_DEPTH, Refused, dumps, jsonpath, loads
from sessionstore.codec.states import Codec


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ([], "$"),
        (["turns", 3, "text"], "$.turns[3].text"),
        (["_a1"], "$._a1"),
        (["x" * 40], f"$.{'x' * 40}"),
        (["x" * 41], f'$["{"x" * 40}..."]'),
        (["1"], '$["1"]'),
        (["a.b"], '$["a.b"]'),
        (["a b", 0], '$["a b"][0]'),
        ([""], '$[""]'),
        (["o'clock"], '$["o\'clock"]'),
        (["a'b\"c"], '$["a\'b\\"c"]'),
        (["]['"], '$["][\'"]'),
        (["\u00e9"], r'$["\u00e9"]'),
        (["\0\n\x1b"], r'$["\u0000\n\u001b"]'),
        (["\u202e\ud800"], r'$["\u202e\ud800"]'),
    ],
    ids=ascii,
)
def test_a_path_is_printable_ascii(steps: list[str | int], path: str) -> None:
    assert jsonpath(steps) == path


@pytest.mark.parametrize("step", [5, "x", "\U0001f600" * 40], ids=ascii)
def test_a_long_path_is_shortened_in_the_middle(step: str | int) -> None:
    path = jsonpath(["begin", *[step] * 200, "end"])
    assert path.startswith("$.begin")
    assert " ... " in path
    assert path.endswith(".end")
    assert len(path) <= 300


def test_the_path_of_a_bad_key_shows_the_type_of_the_key_and_not_its_text() -> None:
    with pytest.raises(Refused, match="key of type tuple") as refused:
        dumps({"a": {("s3cret",): 1}})
    assert refused.value.path == '$.a["<tuple>"]'


@pytest.mark.parametrize("opened", ["[", '{"a":'])
def test_the_deepest_allowed_state_comes_back_and_one_level_more_is_refused(opened: str) -> None:
    closed = "]" if opened == "[" else "}"
    deepest = opened * MAX_DEPTH + closed * MAX_DEPTH
    deepest = deepest.replace(":}", ":1}", 1)
    assert dumps(loads(deepest)) == deepest.encode()
    with pytest.raises(Refused, match=f"more than {MAX_DEPTH} levels"):
        dumps([loads(deepest)])


# JSON has one kind of number, and jsonb keeps decimals. So the text of a float decides whether a float comes back.
@pytest.mark.parametrize(
    "value", [1.0, 0.1, 1e15, 1e16, -1e16, 1e22, 1.7976931348623157e308, 123456789012345680.0, 5e-324]
)
def test_a_float_is_written_so_that_it_comes_back_as_the_same_float(value: float) -> None:
    text = dumps([{"a": value}])
    assert repr(loads(text)) == repr([{"a": value}])
    assert abs(value) < 1 or b"e" not in text


def test_negative_zero_is_written_as_zero() -> None:
    assert dumps({"a": [-0.0, 0.0, -1.5]}) == b'{"a":[0.0,0.0,-1.5]}'


class Bag(BaseModel):
    """A typed state that accepts any value."""

    body: Any = None
    beside: float | None = None


@dataclass
class Point:
    x: Any


class Pair(NamedTuple):
    a: Any
    b: Any


class Root(RootModel[Any]):
    pass


# The ways in which a state can hold a value, each with the path to the value.
PLACES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "itself": (lambda it: it, ""),
    "list": (lambda it: [0, it], "[1]"),
    "tuple": (lambda it: (0, it), "[1]"),
    "named tuple": (lambda it: Pair(None, it), "[1]"),
    "mapping": (lambda it: {"k": None, "o'clock": it}, '["o\'clock"]'),
    "dataclass": (Point, ".x"),
    "model": (lambda it: Bag(body=it), ".body"),
    "all of them": (lambda it: {"a": (Point([Bag(body=it)]),)}, ".a[0].x[0].body"),
}


def refusal_of(body: Any) -> InvalidStateError:
    with pytest.raises(InvalidStateError) as raised:
        Codec(Bag, 10_000).encode(Bag(body=body), "s")
    return raised.value


@pytest.mark.parametrize(("put_in", "path"), list(PLACES.values()), ids=list(PLACES))
@pytest.mark.parametrize("bad", [b"s3cret\xff", object(), range(3), type], ids=lambda bad: type(bad).__name__)
def test_a_value_that_pydantic_cannot_dump_is_refused_with_its_path(
    put_in: Callable[[Any], Any], path: str, bad: Any
) -> None:
    error = refusal_of(put_in(bad))
    assert error.path == f"$.body{path}"
    assert f"{type(bad).__name__} that pydantic cannot dump" in error.reason
    assert "s3cret" not in str(error)


class Numbers(BaseModel):
    """A state with a place for NaN or an infinity, in types whose values pydantic gives back unchanged."""

    itself: Any = None
    any_list: Any = None
    optional: float | None = None
    in_tuple: tuple[float | None, ...] = ()
    in_set: set[float | None] = Field(default_factory=set)
    in_frozenset: frozenset[float | None] = frozenset()
    in_deque: deque[float | None] = Field(default_factory=deque)
    mapping: dict[str, float | None] = Field(default_factory=dict)
    pair: Pair | None = None
    point: Point | None = None
    root: Root | None = None
    model: Bag | None = None


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_a_number_that_pydantic_would_turn_into_null_is_refused_with_its_path(bad: float) -> None:
    places: dict[str, tuple[Any, str]] = {
        "itself": (bad, ""),
        "any_list": ([None, {"a": bad}], "[1].a"),
        "optional": (bad, ""),
        "in_tuple": ((None, bad), "[1]"),
        "in_set": ({bad}, "[0]"),
        "in_frozenset": (frozenset({bad}), "[0]"),
        "in_deque": (deque([1.5, bad]), "[1]"),
        "mapping": ({"o'clock": bad}, '["o\'clock"]'),
        "pair": (Pair(1, bad), "[1]"),
        "point": (Point([bad]), ".x[0]"),
        "root": (Root([None, bad]), "[1]"),
        "model": (Bag(body={"a": bad}), ".body.a"),
    }
    assert places.keys() == Numbers.model_fields.keys()
    for name, (value, path) in places.items():
        with pytest.raises(InvalidStateError) as raised:
            Codec(Numbers, 10_000).encode(Numbers(**{name: value}), "s")
        assert raised.value.path == f"$.{name}{path}"
        assert "not a finite number" in raised.value.reason or name in ("in_set", "in_frozenset")


@pytest.mark.parametrize("body", [{object()}, MappingProxyType({"a": 1})], ids=["set", "proxy"])
def test_a_value_without_a_bad_part_is_refused_as_a_whole(body: Any) -> None:
    assert refusal_of(body).path == "$.body"


@pytest.mark.parametrize("body", [None, [None], {"a": [None, {"b": None}]}], ids=repr)
def test_a_null_in_the_state_comes_back(body: Any) -> None:
    text, copy = Codec(Bag, 10_000).encode_with_copy(Bag(body=body), "s")
    assert "null" in text
    assert copy == Bag(body=body)


def test_a_typed_state_that_contains_itself_is_refused_with_the_path_of_the_repetition() -> None:
    loop = Bag()
    loop.body = Point([loop])
    error = refusal_of(loop)
    assert error.path == "$.body.body.x[0]"
    assert "contains itself" in error.reason


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_an_interrupt_in_a_serializer_or_validator_is_raised_unchanged(raised: BaseException) -> None:
    def fail(_: object) -> Any:
        raise raised

    class Written(BaseModel):
        body: Annotated[Any, PlainSerializer(fail)] = None

    class Read(BaseModel):
        body: Annotated[Any, PlainValidator(fail)] = None

    with pytest.raises(type(raised)):
        Codec(Written, 10_000).encode(Written(), "s")
    with pytest.raises(type(raised)):
        Codec(Read, 10_000).decode('{"body":1}', "s")
