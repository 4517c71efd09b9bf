"""The path to a value that does not fit the state type: keys and indexes, without branches and tags of unions."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, NamedTuple, Required

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Json, Tag
from typing_extensions import TypedDict

from sessionstore import CorruptStateError
from sessionstore.codec.states import Codec


class Text(BaseModel):
    kind: Literal["text"]
    text: str
    more: dict[str, int] = {}


class Tool(BaseModel):
    kind: Literal["tool"]
    name: str
    arguments: dict[str, int | list[int]] = {}


class Note(TypedDict, total=False):
    n: Required[int]
    numbers: list[int]


class Pair(NamedTuple):
    a: int
    b: str = ""


class Old(BaseModel):
    a: int


class New(BaseModel):
    b: list[Old]


def _tag(value: Any) -> str:
    return "new" if "b" in value else "old"


class Chat(BaseModel):
    model_config = ConfigDict(extra="forbid")

    parts: list[Annotated[Text | Tool, Field(discriminator="kind")]] = []
    tagged: Annotated[Annotated[Old, Tag("old")] | Annotated[New, Tag("new")], Discriminator(_tag)] | None = None
    either: int | list[str] | None = None
    models: Old | New | None = None
    keyed: dict[int, str] = {}
    aliased: int = Field(default=0, alias="alias")
    note: Note | None = None
    numbers: Json[list[int]] | None = None
    pair: tuple[int, str] = (1, "")
    named: Pair | None = None
    checked: Annotated[int, AfterValidator(lambda n: n)] = 1
    inner: Chat | None = None


def text(**changes: Any) -> dict[str, Any]:
    return {"parts": [{"kind": "text", "text": "hello"} | changes]}


def tool(**changes: Any) -> dict[str, Any]:
    return {"parts": [{"kind": "tool"} | changes]}


UNFIT: list[tuple[Any, str]] = [
    (text(text=5), "$.parts[0].text"),
    (text(more=5), "$.parts[0].more"),
    (text(more={"a": "x"}), "$.parts[0].more.a"),
    (text(kind="none"), "$.parts[0]"),
    ({"parts": [{"kind": "text"}]}, "$.parts[0].text"),
    ({"parts": [{}]}, "$.parts[0]"),
    (tool(), "$.parts[0].name"),
    (tool(name="f", arguments={"k": "x"}), "$.parts[0].arguments.k"),
    (tool(name="f", arguments={"k": [1, "x"]}), "$.parts[0].arguments.k"),
    ({"tagged": {"b": [{"a": 1}, {}]}}, "$.tagged.b[1].a"),
    ({"either": {"a": 1}}, "$.either"),
    ({"models": {"b": [{"a": "x"}]}}, "$.models"),
    ({"keyed": {"x": "y"}}, "$.keyed.x"),
    ({"keyed": {"1": 5}}, '$.keyed["1"]'),
    ({"aliased": "x"}, "$.aliased"),
    ({"alias": 1}, "$.alias"),
    ({"note": {}}, "$.note.n"),
    ({"note": {"n": 1, "numbers": [1, "x"]}}, "$.note.numbers[1]"),
    ({"numbers": '[1, "x"]'}, "$.numbers"),
    ({"pair": [1]}, "$.pair[1]"),
    ({"pair": [1, 2]}, "$.pair[1]"),
    ({"named": ["x"]}, "$.named[0]"),
    ({"checked": "x"}, "$.checked"),
    ({"inner": {"inner": text(text=5)}}, "$.inner.inner.parts[0].text"),
    ({"unknown": 1}, "$.unknown"),
    ([], "$"),
]


@pytest.mark.parametrize(("stored", "path"), UNFIT, ids=lambda given: json.dumps(given)[:60])
def test_the_path_leads_to_the_value_that_does_not_fit(stored: Any, path: str) -> None:
    with pytest.raises(CorruptStateError) as raised:
        Codec(Chat, 1000).decode(json.dumps(stored), "s")
    assert raised.value.path == path


def test_the_message_says_when_no_type_of_a_union_fits() -> None:
    with pytest.raises(CorruptStateError, match=r"\$\.either does not fit the state type \(no type of a union\)"):
        Codec(Chat, 1000).decode('{"either":{}}', "s")
