"""Items that cannot be stored or read are refused, with their index or position and the path."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ForwardRef

import pytest
from pydantic import AfterValidator, BaseModel

from sessionstore import ConfigurationError, CorruptStateError, InvalidStateError, StateTooLargeError
from sessionstore.codec.items import ItemCodec
from tests.codec.messages import PLAIN, Message, Part, constrained


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
def test_a_typed_item_that_pydantic_cannot_read_back_is_refused_with_index_and_path(item: Any, path: str) -> None:
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
def test_an_item_that_is_no_json_is_refused_with_index_and_path(make: Callable[[], Any], path: str) -> None:
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
def test_the_error_of_an_unreadable_item_names_its_position(item_type: Any, text: str, path: str, reason: str) -> None:
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


def test_the_error_of_a_validator_is_named_by_its_class_only() -> None:
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
