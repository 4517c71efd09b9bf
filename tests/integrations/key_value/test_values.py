"""Values of a store: they come back verbatim, or are refused."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from key_value.aio.errors import DeserializationError, SerializationError

from sessionstore import StorageProvider
from sessionstore.integrations.key_value import StoredKeyValue
from sessionstore.storage import Draft, Key


class _Colour(enum.IntEnum):
    RED = 1


_VALUES: Mapping[str, dict[str, Any]] = {
    "empty": {},
    "the order of keys": {"b": 1, "aa": {"z": 1, "y": 2}, "a": 3},
    "NUL": {"nul \0": "\0"},
    "lone surrogates": {"\ud800": "\udfff"},
    "integers": {"long": 10**400, "64 bits": 2**64 - 1, "negative": -(2**70)},
    "floats": {"one": 1.0, "large": 1e16, "largest": 1.7976931348623157e308, "least": 5e-324},
    "constants": {"null": None, "true": True, "false": False},
    "strings": {"text": "Zoë 🙂\n\t\u2028", "digits": "1", "word": "null", "": ""},
    "nested": {"a": [[], {}, [{"b": [None]}]]},
    "large": {"text": "x" * 3_000_000},
}


@pytest.mark.parametrize("value", _VALUES.values(), ids=list(_VALUES))
async def test_a_value_comes_back_verbatim(store: StoredKeyValue, value: dict[str, Any]) -> None:
    await store.put("one", value)
    await store.put_many(["many", "more"], [value] * 2)
    for found in [await store.get("one"), *await store.get_many(["many", "more"])]:
        assert found == value
        assert repr(found) == repr(value)  # also the order of keys, and whether a number is a float


async def test_a_negative_zero_stays_negative(store: StoredKeyValue) -> None:
    await store.put("k", {"n": -0.0})
    assert str(await store.get("k")) == "{'n': -0.0}"


async def test_a_deep_value_comes_back(store: StoredKeyValue) -> None:
    value: dict[str, Any] = {}
    for _ in range(800):
        value = {"in": [value]} if len(value) > 1 else {"in": value}
    await store.put("k", value)
    assert await store.get("k") == value


async def test_values_are_written_as_json_as_by_other_stores(store: StoredKeyValue) -> None:
    await store.put("k", {"tuple": (1, (2,)), "enum": _Colour.RED, "keys": {2: "a", None: "b", True: "c"}})
    assert await store.get("k") == {"tuple": [1, [2]], "enum": 1, "keys": {"2": "a", "null": "b", "true": "c"}}
    await store.put("k", {"nan": float("nan"), "infinities": [float("inf"), -float("inf")], "\0": "\ud800"})
    assert repr(await store.get("k")) == r"{'nan': nan, 'infinities': [inf, -inf], '\x00': '\ud800'}"


def _of_itself() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


_NO_JSON: Mapping[str, dict[str, Any]] = {
    "datetime": {"at": datetime.now(UTC)},
    "UUID": {"id": UUID(int=1)},
    "bytes": {"raw": b"x"},
    "set": {"s": {1}},
    "object": {"a": [{"b": object()}]},
    "keys of no type that JSON has": {"a": {(1, 2): 3}},
    "itself": _of_itself(),
}


@pytest.mark.parametrize("value", _NO_JSON.values(), ids=list(_NO_JSON))
async def test_a_value_that_is_no_json_is_refused_and_the_entry_stays(
    store: StoredKeyValue, value: dict[str, Any]
) -> None:
    await store.put("k", {"n": 1}, ttl=60)
    with pytest.raises(SerializationError, match=r"the value cannot be stored: \$"):
        await store.put("k", value)
    with pytest.raises(SerializationError):
        await store.put_many(["new", "k"], [{}, value])
    with pytest.raises(SerializationError):
        await store.put_if_absent("new", value)
    assert await store.ttl_many(["k", "new"]) == [({"n": 1}, 60.0), (None, None)]


@pytest.mark.parametrize("value", [None, [], "text", 1, {1: 2}, [("a", 1)]])
async def test_a_value_that_is_no_mapping_of_strings_is_a_type_error(store: StoredKeyValue, value: Any) -> None:
    with pytest.raises(TypeError, match="a value must"):
        await store.put("k", value)


@pytest.mark.parametrize("name", [1, b"k", ("k",)])
async def test_a_key_that_is_no_string_is_a_type_error(store: StoredKeyValue, name: Any) -> None:
    for call in (store.get(name), store.put(name, {}), store.delete(name), store.get("k", collection=name)):
        with pytest.raises(TypeError, match="string"):
            await call


async def test_values_of_callers_are_their_own(store: StoredKeyValue) -> None:
    given: dict[str, Any] = {"list": [1]}
    await store.put("k", given)
    given["list"].append(2)
    one, other = await store.get_many(["k", "k"])
    assert one is not None
    one["list"].append(3)
    assert other == await store.get("k") == {"list": [1]}


@pytest.mark.parametrize("state", ["{}", "[]", '{"value": 1}', '{"value": "["}', '{"value": "[1]"}'])
async def test_a_state_of_another_program_is_not_taken_for_a_value(
    store: StoredKeyValue, storage: StorageProvider, state: str
) -> None:
    await storage.create(Draft(Key("key-value", "default_collection/k"), state))
    with pytest.raises(DeserializationError, match="another program wrote to this key"):
        await store.get("k")
    with pytest.raises(DeserializationError):
        await store.ttl("k")
