"""Items and their JSON text: verbatim without a type, equal type by type with one, and refused with index and path."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ForwardRef

import pytest
from hypothesis import HealthCheck, event, given, settings
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter
from typing_extensions import TypedDict

from sessionstore import ConfigurationError, CorruptStateError, InvalidStateError, StateTooLargeError
from sessionstore.codec.items import ItemCodec
from sessionstore.codec.verbatim import dumps
from sessionstore.testing.support.any_type import Case, canonical, honest, hostile

_SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
PLAIN: ItemCodec[Any] = ItemCodec(None, 1_000_000)


class Part(BaseModel):
    text: str
    short: str | None = Field(default=None, max_length=20)
    more: dict[str, JsonValue] = {}


class Message(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    role: str
    content: list[Part] = Field(default_factory=list, alias="parts")
    at: datetime | None = None
    body: Any = None


class Call(TypedDict):
    zz: int
    a: str


def str_of(value: Any) -> str:
    return dumps(value).decode("ascii").strip()[:20]


def constrained(text: str) -> Part:
    return Part.model_construct(text="", short=text, more={})


RARE: list[Any] = [None, "\0", {"\ud800": "\ude00\0"}, 10**400, -(10**5000), -0.0, 1e16, 1e-320, {"b": 1, "a": {"": 2}}]


@pytest.mark.parametrize("item", RARE, ids=str_of)
def test_an_item_without_a_type_comes_back_verbatim_and_the_copy_is_independent(item: Any) -> None:
    given = {"kept": [item], "turns": []}
    text, twin = PLAIN.encode_with_copy(given, 0, "s")
    assert text == PLAIN.encode(given, 0, "s")
    twin["turns"].append(1)
    assert given == {"kept": [item], "turns": []}
    assert repr_of(PLAIN.decode(text, 1, "s")) == repr_of(given)
    assert repr_of(PLAIN.decode(PLAIN.encode(item, 0, "s"), 1, "s")) == repr_of(item)


def repr_of(value: Any) -> Any:
    """What is equal exactly where two JSON values are, with the order of keys and the sign of zero."""
    if isinstance(value, dict):
        return [(key, repr_of(member)) for key, member in value.items()]
    if isinstance(value, list):
        return list(map(repr_of, value))
    return repr(value) if isinstance(value, float) else (type(value), value)


@_SETTINGS
@given(case=honest())
def test_a_typed_item_that_json_can_keep_comes_back_with_its_types(case: Case) -> None:
    item_type, item = case
    assert_comes_back(ItemCodec(item_type, 1_000_000), item)


@_SETTINGS
@given(case=hostile())
def test_any_other_item_comes_back_or_is_refused_with_its_path(case: Case) -> None:
    item_type, item = case
    refused: InvalidStateError | None = None
    try:
        assert_comes_back(ItemCodec(item_type, 1_000_000), item)
    except InvalidStateError as error:
        refused = error
    if refused is not None:
        event("refused")
        assert refused.path.startswith("$[3]")
        assert refused.__cause__ is refused.__context__ is None
        assert "hunter2" not in str(refused)


def assert_comes_back(codec: ItemCodec[Any], item: Any) -> None:
    text, twin = codec.encode_with_copy(item, 3, "s")
    assert canonical(twin) == canonical(item)
    assert canonical(codec.decode(text, 4, "s")) == canonical(item)
    assert canonical(codec.decode(text.strip(), 4, "s")) == canonical(item)


def test_a_typed_item_is_stored_by_field_names_and_in_the_order_of_its_keys() -> None:
    assert ItemCodec(Message, 1000).encode(Message(role="user", parts=[Part(text="a")]), 0, "s") == (
        '{"role":"user","content":[{"text":"a","short":null,"more":{}}],"at":null,"body":null}'
    )
    assert ItemCodec(dict[str, int], 1000).encode({"zz": 1, "a": 2}, 0, "s") == '{"zz":1,"a":2}'
    assert ItemCodec(Call, 1000).encode({"a": "x", "zz": 2}, 0, "s") == '{"a":"x","zz":2}'


@pytest.mark.parametrize("item_type", [None, dict[str, Any]])
def test_of_several_texts_the_error_names_the_position_of_the_first_that_has_a_fault(item_type: Any) -> None:
    codec: ItemCodec[Any] = ItemCodec(item_type, 1000)
    texts = [codec.encode({"n": n}, n, "s") for n in range(20)]
    positions = range(7, 27)
    versions = [1] * 20
    assert codec.decode_all(texts, positions, "s", versions) == [{"n": n} for n in range(20)]
    assert codec.decode_all([], [], "s", []) == []
    texts[17] = texts[18] = '{"n":'
    with pytest.raises(CorruptStateError) as raised:
        codec.decode_all(texts, positions, "s", versions)
    assert raised.value.path == "$[24]"
    assert raised.value.__cause__ is raised.value.__context__ is None


def test_of_several_texts_only_those_of_earlier_versions_are_upgraded() -> None:
    codec: ItemCodec[Any] = ItemCodec(None, 1000, version=3, upgrades={1: lambda it: [it], 2: lambda it: {"all": it}})
    texts = ['"a"', '["b"]', '{"all":["c"]}']
    assert codec.decode_all(texts, [1, 2, 3], "s", [1, 2, 3]) == [{"all": [name]} for name in "abc"]
    assert codec.decode_all(texts, [1, 2, 3], "s", [3, 3, 3]) == ["a", ["b"], {"all": ["c"]}]
    with pytest.raises(CorruptStateError) as raised:
        codec.decode_all(texts, [7, 8, 9], "s", [3, 4, 3])
    assert raised.value.path == "$[8]"


def test_null_is_an_item_also_of_a_type_that_has_it() -> None:
    codec: ItemCodec[Any] = ItemCodec(TypeAdapter(Message | None), 1000)
    assert codec.encode_with_copy(None, 0, "s") == ("null", None)
    assert codec.decode("null", 1, "s") is None
    with pytest.raises(CorruptStateError, match="does not fit the item type"):
        ItemCodec(Message, 1000).decode("null", 1, "s")


@pytest.mark.parametrize("rare", ["\0", "a\ud800", {"a": ["\ude00"]}, 2**64, [-(10**400)], [7**9000]], ids=str_of)
def test_a_typed_item_keeps_what_is_rare_where_pydantic_can(rare: Any) -> None:
    item = Message(role="user\0\ude00", at=datetime(2026, 1, 1, tzinfo=UTC), body=rare)
    assert_comes_back(ItemCodec(Message, 100_000), item)
    assert_comes_back(ItemCodec(TypeAdapter(list[Message]), 100_000), [item, item])
    assert_comes_back(ItemCodec(dict[str, Any], 100_000), {"b": rare, "a": 1})


@pytest.mark.parametrize(
    ("item", "path"),
    [
        (Message(role="a", parts=[Part(text="b"), constrained("\ud800")]), "$[2].content[1].short"),
        (Message(role="a", body={"x": {"\ud800": 1}}), "$[2].body.x"),
        (Message(role="a", body=[(1,)]), "$[2].body[0]"),
        (Message(role="a", body=float("nan")), "$[2].body"),
        (Message(role="a", body=b"s3cret\xff"), "$[2].body"),
    ],
    ids=["constrained str", "key", "tuple", "NaN", "bytes"],
)
def test_what_pydantic_cannot_give_back_is_refused_with_index_and_path(item: Any, path: str) -> None:
    with pytest.raises(InvalidStateError) as raised:
        ItemCodec(Message, 10_000).encode(item, 2, "s")
    assert raised.value.path.startswith(path)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None


PLAIN_REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "NaN": (lambda: {"content": [{"score": float("nan")}]}, "$[2].content[0].score"),
    "tuple": (lambda: (1, 2), "$[2]"),
    "datetime": (lambda: {"at": datetime(2026, 1, 1, tzinfo=UTC)}, "$[2].at"),
    "key": (lambda: {"content": {1: 2}}, '$[2].content["1"]'),
    "beside a surrogate": (lambda: ["\ud800", {"n": Decimal(1)}], "$[2][1].n"),
    "model": (lambda: Message(role="s3cret"), "$[2]"),
}


@pytest.mark.parametrize(("make", "path"), PLAIN_REFUSED.values(), ids=PLAIN_REFUSED)
def test_what_json_cannot_say_is_refused_with_index_and_path(make: Callable[[], Any], path: str) -> None:
    for encode in (PLAIN.encode, PLAIN.encode_with_copy):
        with pytest.raises(InvalidStateError) as raised:
            encode(make(), 2, "s" * 5)
        error = raised.value
        assert error.path.replace("[1]", '["1"]' if path.endswith('["1"]') else "[1]") == path
        assert str(error).startswith("the items of session 'sssss' cannot be stored: $[2]")
        assert error.session_id == "sssss"
        assert "s3cret" not in str(error)
        assert error.__cause__ is error.__context__ is None
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301
            assert (str(twin), twin.path, twin.reason) == (str(error), error.path, error.reason)


@pytest.mark.parametrize(
    "item", ["x" * 30, "é" * 15, ["\ud800" * 5], 10**29], ids=["ascii", "utf-8", "escaped", "integer"]
)
def test_an_item_may_be_as_long_as_the_limit_in_bytes_and_no_longer(item: Any) -> None:
    size = len(PLAIN.encode(item, 0, "s").encode())
    assert ItemCodec(None, size).encode(item, 0, "s")
    with pytest.raises(StateTooLargeError, match="raise max_item_bytes") as raised:
        ItemCodec(None, size - 1).encode(item, 7, "s")
    assert (raised.value.path, raised.value.size, raised.value.limit) == ("$[7]", size, size - 1)
    assert raised.value.__cause__ is raised.value.__context__ is None


def test_a_typed_item_that_is_too_long_is_refused() -> None:
    with pytest.raises(StateTooLargeError) as raised:
        ItemCodec(Message, 50).encode(Message(role="x" * 50), 1, "s")
    assert raised.value.path == "$[1]"


CORRUPT: dict[str, tuple[Any, str, str, str]] = {
    "no JSON": (None, '{"s3cret"', "$[17]", "is no JSON text"),
    "no JSON of a typed item": (Message, '{"s3cret"', "$[17]", "is no JSON text"),
    "marked": (None, ' {"s3cret"', "$[17]", "is no JSON text"),
    "beyond a float": (None, "[1e400]", "$[17]", "too large for a float"),
    "another type": (Message, '{"role":"a","content":[{"text":5}]}', "$[17].content[0].text", "(string_type)"),
    "missing": (Message, '{"content":["s3cret"]}', "$[17].role", "(missing)"),
    "surrogate in a constrained str": (
        Message,
        ' {"role":"a","content":[{"text":"","short":"s3cret\\ud800"}]}',
        "$[17].content[0].short",
        "(string_unicode)",
    ),
    "surrogate beside": (Message, '{"body":"\\ud800","role":5}', "$[17].role", "(string_type)"),
    "long integer beside": (Message, f'{{"body":{"1" * 5000},"role":5}}', "$[17].role", "(string_type)"),
}


@pytest.mark.parametrize(("item_type", "text", "path", "reason"), CORRUPT.values(), ids=CORRUPT)
def test_a_stored_item_that_cannot_be_read_is_told_with_its_position(
    item_type: Any, text: str, path: str, reason: str
) -> None:
    with pytest.raises(CorruptStateError) as raised:
        ItemCodec(item_type, 1000).decode(text, 17, "s")
    error = raised.value
    assert error.path == path
    assert reason in error.reason
    assert str(error) == (
        f"the stored items of session 's' cannot be read: {path} {error.reason}; the row was left as it is"
    )
    assert "s3cret" not in str(error)
    assert error.__cause__ is error.__context__ is None
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301


def test_what_a_validator_raises_is_told_by_its_class_only() -> None:
    def fail(value: Any) -> Any:
        raise KeyError(f"s3cret {value!r}")

    class Checked(BaseModel):
        body: Annotated[Any, AfterValidator(fail)]

    for text in ('{"body":1}', ' {"body":"\\ud800"}'):
        with pytest.raises(CorruptStateError, match="KeyError") as raised:
            ItemCodec(Checked, 1000).decode(text, 1, "s")
        assert "s3cret" not in str(raised.value)
        assert raised.value.__cause__ is raised.value.__context__ is None


class Alien:
    """Nothing that pydantic knows."""


def test_a_type_without_a_schema_is_refused_at_once_and_names_the_argument() -> None:
    with pytest.raises(ConfigurationError, match=r"no schema for the item_type .*Alien"):
        ItemCodec(Alien, 1000)


def test_a_type_that_is_not_fully_defined_is_refused_by_each_call() -> None:
    codec: ItemCodec[Any] = ItemCodec(ForwardRef("Later"), 1000)  # type: ignore[arg-type]
    for call in (
        lambda: codec.encode(1, 0, "s"),
        lambda: codec.encode_with_copy(1, 0, "s"),
        lambda: codec.decode("1", 1, "s"),
    ):
        with pytest.raises(ConfigurationError, match=r"the item_type .* is not fully defined"):
            call()


@dataclasses.dataclass
class Turn:
    role: str
    parts: list[str]


def test_the_copy_of_a_typed_item_is_independent() -> None:
    turn = Turn("user", ["a"])
    _, twin = ItemCodec(Turn, 1000).encode_with_copy(turn, 0, "s")
    twin.parts.append("b")
    assert turn == Turn("user", ["a"])


def test_a_typed_item_may_be_nested_199_levels_below_its_model_and_not_300() -> None:
    codec = ItemCodec(Message, 100_000)

    def nested(depth: int) -> Message:
        return Message(role="a", body=json.loads("[" * depth + "]" * depth))

    assert_comes_back(codec, nested(199))
    with pytest.raises(InvalidStateError, match="nested more than") as raised:
        codec.encode(nested(300), 2, "s")
    assert raised.value.path.startswith("$[2].body[0][0]")
