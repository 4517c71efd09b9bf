"""States that would not come back as they are: each is refused with its path, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel, Field

from sessionstore import InvalidStateError, SessionNotFoundError, StateTooLargeError

from ...support.documents import Chat
from ..given import Managed


class Note(BaseModel):
    """A typed state with a field of any type, for which pydantic accepts every value."""

    body: Any = None
    n: int = 0
    ratio: float = 1.0
    by_name: dict[str, float] = Field(default_factory=dict)


class Colour(StrEnum):
    RED = "red"


def nested(levels: int) -> Any:
    inner: Any = "core"
    for _ in range(levels):
        inner = [inner]
    return inner


def containing_itself() -> Any:
    loop: list[Any] = []
    loop.append(loop)
    return loop


# Functions make the values, because pytest would print a deep or an endless value as a parameter.
NOT_IN_ANY_STATE: dict[str, Callable[[], Any]] = {
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "minus infinity": lambda: float("-inf"),
    "NUL": lambda: "a\0b",
    "lone high surrogate": lambda: "a\ud83d",
    "lone low surrogate": lambda: "\ude00a",
    "reversed surrogates": lambda: "\ude00\ud83d",
    "2**64": lambda: 2**64,
    "-2**63 - 1": lambda: -(2**63) - 1,
    "10**5000": lambda: 10**5000,
    "object": object,
}
NOT_IN_JSON: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"x",
    "set": lambda: {1},
    "tuple": lambda: (1, 2),
    "datetime": lambda: datetime(2031, 1, 1, tzinfo=UTC),
    "Decimal": lambda: Decimal("1.5"),
    "complex": lambda: 1j,
    "enum": lambda: Colour.RED,
    "model": Note,
    "function": lambda: nested,
}
NOT_A_KEY: dict[str, Any] = {
    "int": 1,
    "float": 1.5,
    "bool": True,
    "None": None,
    "tuple": (1, 2),
    "bytes": b"k",
    "enum": Colour.RED,
    "NUL": "k\0",
    "lone surrogate": "k\udc00",
}
ENDLESS: dict[str, Callable[[], Any]] = {"100,000 deep": lambda: nested(100_000), "itself": containing_itself}


def cases(made: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("made", list(made.values()), ids=list(made))


async def refusal_of(managed: Managed, state: Any, **options: Any) -> InvalidStateError:
    """Offers a state in a creation and in an update, and returns the error of the update."""
    creation = await managed(default_state=lambda _: state, **options).create_session("new")
    assert isinstance(creation.error, InvalidStateError)
    assert (creation.success, creation.created, creation.data) == (False, False, None)

    chats = managed(default_state=lambda _: {})
    assert isinstance((await chats.get_session("new")).error, SessionNotFoundError)
    before = await chats.create_session("s")
    update = await managed(**options).update_session("s", lambda _: state)
    after = await chats.get_session("s")
    assert isinstance(update.error, InvalidStateError)
    assert (update.success, update.data) == (False, None)
    assert (after.data, after.version) == ({}, before.version)
    assert update.error.path == creation.error.path
    return update.error


@cases(NOT_IN_ANY_STATE | NOT_IN_JSON)
async def test_a_value_that_json_cannot_give_back_is_refused_with_its_place(
    managed: Managed, made: Callable[[], Any]
) -> None:
    assert (await refusal_of(managed, {"ok": 1, "a": [0, {"b": made()}]})).path == "$.a[1].b"


@cases(NOT_A_KEY)
async def test_a_key_that_json_cannot_give_back_is_refused_with_its_place(managed: Managed, made: Any) -> None:
    error = await refusal_of(managed, {"ok": 1, "a": [0, {"b": {made: 1}}]})
    assert error.path.startswith("$.a[1].b")
    assert error.path.isprintable()


@cases(ENDLESS)
async def test_a_value_without_end_is_refused_with_its_place(managed: Managed, made: Callable[[], Any]) -> None:
    error = await refusal_of(managed, {"ok": 1, "a": made()})
    assert error.path.startswith("$.a[0]")
    assert len(str(error)) < 1000


@cases(NOT_IN_ANY_STATE)
async def test_a_typed_state_is_refused_by_the_same_rule(managed: Managed, made: Callable[[], Any]) -> None:
    error = await refusal_of(managed, Note(body=[0, {"b": made()}]), state_type=Note)
    assert error.path == "$.body[1].b"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")], ids=str)
async def test_a_typed_nan_or_infinity_is_refused(managed: Managed, bad: float) -> None:
    assert (await refusal_of(managed, Note(ratio=bad), state_type=Note)).path == "$.ratio"
    assert (await refusal_of(managed, Note(by_name={"a": 1, "b": bad}), state_type=Note)).path == "$.by_name.b"


@cases(ENDLESS)
async def test_a_typed_state_without_end_is_refused(managed: Managed, made: Callable[[], Any]) -> None:
    error = await refusal_of(managed, Note(body={"a": made()}), state_type=Note)
    assert error.path.startswith("$.body.a")
    assert len(str(error)) < 1000


async def test_a_typed_state_with_a_key_that_no_storage_can_keep_is_refused(managed: Managed) -> None:
    for bad in ("k\0", "k\udc00"):
        assert (await refusal_of(managed, Note(body={bad: 1}), state_type=Note)).path.startswith("$.body")


async def test_a_field_of_the_wrong_type_is_refused_with_its_place(managed: Managed) -> None:
    notes = managed(default_state=lambda _: Note(), state_type=Note)
    before = await notes.create_session("s")

    def spoil(note: Note) -> None:
        note.n = "many"  # type: ignore[assignment]

    refused = await notes.update_session("s", spoil)
    assert isinstance(refused.error, InvalidStateError)
    assert refused.error.path == "$.n"
    after = await notes.get_session("s")
    assert (after.data, after.version) == (before.data, before.version)


async def test_a_value_of_another_type_than_the_state_type_is_refused(managed: Managed) -> None:
    notes = managed(default_state=lambda _: Note(), state_type=Note)
    await notes.create_session("s")
    refused = await notes.update_session("s", lambda _: "no note")
    assert isinstance(refused.error, InvalidStateError)
    assert (await notes.get_session("s")).unwrap() == Note()


async def test_a_refusal_never_quotes_the_state(managed: Managed) -> None:
    for secret in ({"a": "s3cret\0"}, {"a": ["s3cret", b"s3cret"]}, {"a": "s3cret" * 300_000}):
        error = await refusal_of(managed, secret)
        assert "s3cret" not in str(error) + repr(error)


def text_of(size: int) -> Chat:
    """Returns a state that takes this many bytes as compact JSON. Some of its characters take two bytes."""
    return {"t": "\u00e4" * 10 + "x" * (size - len('{"t":""}') - 20)}


async def test_a_state_of_exactly_the_limit_is_accepted(managed: Managed) -> None:
    chats = managed(default_state=lambda _: text_of(1000), max_state_bytes=1000)
    created = await chats.create_session("s")
    assert created.unwrap() == text_of(1000)
    assert (await chats.update_session("s", lambda _: text_of(999))).unwrap() == text_of(999)


async def test_a_state_one_byte_over_the_limit_is_refused_with_both_sizes(managed: Managed) -> None:
    error = await refusal_of(managed, text_of(1001), max_state_bytes=1000)
    assert isinstance(error, StateTooLargeError)
    assert (error.size, error.limit) == (1001, 1000)


async def test_a_megabyte_is_accepted_unless_told_otherwise(managed: Managed) -> None:
    chats = managed(default_state=lambda _: text_of(1_048_576))
    assert (await chats.create_session("long")).success
    assert (await chats.get_session("long")).unwrap() == text_of(1_048_576)
    assert isinstance(await refusal_of(managed, text_of(1_048_577)), StateTooLargeError)


async def test_an_origin_has_the_limit_of_a_state(managed: Managed) -> None:
    chats = managed(default_state=lambda _: {}, max_state_bytes=1000)
    created = await chats.create_session("s", origin=text_of(1000))
    assert created.metadata is not None
    assert created.metadata.origin == text_of(1000)
    refused = await chats.create_session("t", origin=text_of(1001))
    assert isinstance(refused.error, StateTooLargeError)
    assert (refused.error.size, refused.error.limit, refused.error.path) == (1001, 1000, "origin")
    assert isinstance((await chats.get_session("t")).error, SessionNotFoundError)
