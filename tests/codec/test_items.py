"""Items and their JSON text: verbatim without a type, equal type by type with one."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from sessionstore import CorruptStateError, InvalidStateError
from sessionstore.codec.items import ItemCodec
from sessionstore.codec.verbatim import dumps
from sessionstore.testing.support.any_type import Case, canonical, honest, hostile
from tests.codec.messages import PLAIN, Message, Part

_SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


class Call(TypedDict):
    zz: int
    a: str


def str_of(value: Any) -> str:
    return dumps(value).decode("ascii").strip()[:20]


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
def test_the_error_of_several_texts_names_the_position_of_the_first_bad_text(item_type: Any) -> None:
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


def test_only_texts_of_earlier_versions_are_upgraded() -> None:
    codec: ItemCodec[Any] = ItemCodec(None, 1000, version=3, upgrades={1: lambda it: [it], 2: lambda it: {"all": it}})
    texts = ['"a"', '["b"]', '{"all":["c"]}']
    assert codec.decode_all(texts, [1, 2, 3], "s", [1, 2, 3]) == [{"all": [name]} for name in "abc"]
    assert codec.decode_all(texts, [1, 2, 3], "s", [3, 3, 3]) == ["a", ["b"], {"all": ["c"]}]
    with pytest.raises(CorruptStateError) as raised:
        codec.decode_all(texts, [7, 8, 9], "s", [3, 4, 3])
    assert raised.value.path == "$[8]"


def test_null_is_an_item_if_its_type_allows_none() -> None:
    codec: ItemCodec[Any] = ItemCodec(TypeAdapter(Message | None), 1000)
    assert codec.encode_with_copy(None, 0, "s") == ("null", None)
    assert codec.decode("null", 1, "s") is None
    with pytest.raises(CorruptStateError, match="does not fit the item type"):
        ItemCodec(Message, 1000).decode("null", 1, "s")


@pytest.mark.parametrize("rare", ["\0", "a\ud800", {"a": ["\ude00"]}, 2**64, [-(10**400)], [7**9000]], ids=str_of)
def test_a_typed_item_keeps_rare_values_if_pydantic_can(rare: Any) -> None:
    item = Message(role="user\0\ude00", at=datetime(2026, 1, 1, tzinfo=UTC), body=rare)
    assert_comes_back(ItemCodec(Message, 100_000), item)
    assert_comes_back(ItemCodec(TypeAdapter(list[Message]), 100_000), [item, item])
    assert_comes_back(ItemCodec(dict[str, Any], 100_000), {"b": rare, "a": 1})


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
