"""NUL characters and lone surrogates, which no storage can keep: refused, or replaced if the manager asks for that."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from sessionstore import CorruptStateError, InvalidStateError, StorageProvider

from ...capability import Capability, needs
from ...support.documents import draft
from ..given import Managed

SECRET = "s3cret"


class Pair(NamedTuple):
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    text: str


class Turn(BaseModel):
    text: str
    parts: tuple[Part, ...] = ()


class Chat(BaseModel):
    model_config = ConfigDict(extra="allow")

    title: str = ""
    turns: list[Turn] = []
    by_name: dict[str, str] = {}
    seen: set[str] = set()
    pair: Pair = Pair("", "")
    anything: Any = None
    mood: Literal["calm"] = "calm"


def extra(text: str) -> dict[str, Any]:
    return {f"extra {text}": text}


class Note(TypedDict):
    text: str


# The given value, and the value with U+FFFD in the place of each character that cannot be stored.
REPLACED: dict[str, tuple[Any, Any, Any]] = {
    "values": (
        None,
        {"a": ["x\0y", "\ud83d", {"b": "\0\0"}], "n": 1, "f": 1e300},
        {"a": ["x\ufffdy", "\ufffd", {"b": "\ufffd\ufffd"}], "n": 1, "f": 1e300},
    ),
    "keys": (None, {"a\0": 1, "b": {"\udc00": {}}}, {"a\ufffd": 1, "b": {"\ufffd": {}}}),
    "array": (None, ["\0"], ["\ufffd"]),
    "text": (None, "\0", "\ufffd"),
    "two halves of an emoji in two characters": (None, {"a": "\ud83d\ude00"}, {"a": "\ufffd\ufffd"}),
    "halves the wrong way round": (None, {"a": "\ude00\ud83d"}, {"a": "\ufffd\ufffd"}),
    "what is an emoji": (None, {"a": "\U0001f600\0"}, {"a": "\U0001f600\ufffd"}),
    "model": (
        Chat,
        Chat(
            title="\0",
            turns=[Turn(text="\ud800", parts=(Part("x\0"), Part("y")))],
            by_name={"k\udc00": "v\0"},
            seen={"\0", "a"},
            pair=Pair("\0", "b"),
            anything={"q\ud800": ["\0"]},
            **extra("\0"),
        ),
        Chat(
            title="\ufffd",
            turns=[Turn(text="\ufffd", parts=(Part("x\ufffd"), Part("y")))],
            by_name={"k\ufffd": "v\ufffd"},
            seen={"\ufffd", "a"},
            pair=Pair("\ufffd", "b"),
            anything={"q\ufffd": ["\ufffd"]},
            **extra("\ufffd"),
        ),
    ),
    "dataclass": (Part, Part("\0"), Part("\ufffd")),
    "typed dict": (Note, Note(text="\ud83d"), Note(text="\ufffd")),
}


def cases(made: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("state_type", "given", "kept"), list(made.values()), ids=list(made))


@cases(REPLACED)
async def test_text_that_cannot_be_stored_is_refused_by_default(
    managed: Managed, state_type: Any, given: Any, kept: Any
) -> None:
    chats = managed(default_state=lambda _: given, state_type=state_type)
    for refused in (await chats.create_session("s"), await chats.create_session("s")):
        assert isinstance(refused.error, InvalidStateError)
    assert (await chats.get_session("s")).success is False


@cases(REPLACED)
async def test_each_character_that_cannot_be_stored_is_replaced_where_a_manager_says_so(
    managed: Managed, state_type: Any, given: Any, kept: Any
) -> None:
    chats = managed(default_state=lambda _: given, state_type=state_type, unstorable_text="replace")
    blank = managed(default_state=lambda _: kept, state_type=state_type)
    assert (await chats.create_session("new")).unwrap() == kept
    assert (await chats.get_session("new")).unwrap() == kept
    await blank.create_session("s")
    assert (await chats.update_session("s", lambda _: given)).unwrap() == kept
    assert (await chats.get_session("s")).unwrap() == kept
    assert (await blank.update_session("s", lambda _: None)).unwrap() == kept


async def test_text_in_a_state_that_is_changed_in_place_is_replaced_too(managed: Managed) -> None:
    chats = managed(default_state=lambda _: {"turns": []}, unstorable_text="replace")
    await chats.create_session("s")
    updated = await chats.update_session("s", lambda state: state["turns"].append("half \ud83d"))
    assert updated.unwrap() == {"turns": ["half \ufffd"]}


async def test_text_in_an_origin_is_replaced_too(managed: Managed) -> None:
    chats = managed(default_state=lambda _: {}, unstorable_text="replace")
    created = await chats.create_session("s", origin={"a\0": ["\ud83d"], "n": 1})
    read = await chats.get_session("s")
    assert created.metadata is not None
    assert read.metadata is not None
    assert created.metadata.origin == read.metadata.origin == {"a\ufffd": ["\ufffd"], "n": 1}
    refused = await chats.create_session("t", origin={"a\0": 1, "a\ufffd": 2})
    assert isinstance(refused.error, InvalidStateError)
    assert refused.error.path == r'origin["a\ufffd"]'


COLLIDING: dict[str, tuple[Any, Callable[[], Any], str]] = {
    "with one that is stored": (None, lambda: {"a": {"x\ufffd": 1, "x\0": 2}}, r'$.a["x\u0000"]'),
    "with one that is replaced too": (None, lambda: {"a": [{"x\ud800": 1, "x\0": 2}]}, r'$.a[0]["x\u0000"]'),
    "of a model": (Chat, lambda: Chat(by_name={"x\ud800": "1", "x\0": "2"}), r'$.by_name["x\u0000"]'),
    "members of a set": (Chat, lambda: Chat(seen={"x\ud800", "x\0"}), "$.seen"),
}


@pytest.mark.parametrize(("state_type", "make", "place"), list(COLLIDING.values()), ids=list(COLLIDING))
async def test_two_keys_that_would_become_one_are_refused(
    managed: Managed, state_type: Any, make: Callable[[], Any], place: str
) -> None:
    chats = managed(default_state=lambda _: make(), state_type=state_type, unstorable_text="replace")
    refused = await chats.create_session("s")
    assert isinstance(refused.error, InvalidStateError)
    assert refused.error.path == place
    assert (await chats.get_session("s")).success is False


class Uncopied(BaseModel):
    """A model that lets nobody copy it."""

    text: str = ""

    def __copy__(self) -> Uncopied:
        raise RuntimeError(SECRET)


class Fixed(dict[str, Any]):
    """A dict that lets nobody empty it."""

    def clear(self) -> None:
        raise LookupError(SECRET)


class Both(tuple[Any, ...]):
    """A tuple that is made of two values, and not of one iterable."""

    __slots__ = ()

    def __new__(cls, a: object, b: object) -> Both:
        return super().__new__(cls, (a, b))


@dataclass
class Guarded:
    """A dataclass that shows nobody a text with a NUL."""

    text: str = ""

    def __getattribute__(self, name: str) -> Any:
        if name == "text" and "\0" in vars(self)["text"]:
            raise OSError(SECRET)
        return super().__getattribute__(name)


# What cannot be copied, and where it lies.
UNCOPIED: dict[str, tuple[Any, Callable[[], Any], str, str]] = {
    "model": (list[Uncopied], lambda: [Uncopied(text="a"), Uncopied(text="\0")], "$[1]", "RuntimeError"),
    "model as the state": (Uncopied, lambda: Uncopied(text="\0"), "$", "RuntimeError"),
    "dict": (None, lambda: {"a": [Fixed(b="\0")]}, "$.a[0]", "LookupError"),
    "tuple": (None, lambda: {"a": Both("\0", 1)}, "$.a", "TypeError"),
    "dataclass": (dict[str, Guarded], lambda: {"a": Guarded("\0")}, "$.a", "OSError"),
}


@pytest.mark.parametrize(("state_type", "make", "place", "name"), list(UNCOPIED.values()), ids=list(UNCOPIED))
async def test_a_class_that_raises_when_its_text_is_replaced_refuses_the_state(
    managed: Managed, state_type: Any, make: Callable[[], Any], place: str, name: str
) -> None:
    chats = managed(default_state=lambda _: make(), state_type=state_type, unstorable_text="replace")
    refused = await chats.create_session("s")
    assert isinstance(refused.error, InvalidStateError)
    assert (refused.error.path, name in refused.error.reason) == (place, True)
    assert SECRET not in "".join(traceback.format_exception(refused.error))
    assert (await chats.get_session("s")).success is False


async def test_an_origin_that_contains_itself_is_refused_also_where_text_is_replaced(managed: Managed) -> None:
    chats = managed(default_state=lambda _: {}, unstorable_text="replace")
    origin: dict[str, Any] = {"a": "\0"}
    origin["b"] = origin
    refused = await chats.create_session("s", origin=origin)
    assert isinstance(refused.error, InvalidStateError)
    assert refused.error.path.startswith("origin.b.b")
    assert "deep" in refused.error.reason


ALSO_WRONG: dict[str, tuple[Any, Any]] = {
    "$.b": (None, {"a": "\0", "b": {1}}),
    "$.a[1]": (None, {"a": ["\0", 2**64]}),
    "$.b.c": (None, {"a\0": 1, "b": {"c": float("nan")}}),
    "$.mood": (Chat, Chat.model_construct(mood="calm\0")),
}


@pytest.mark.parametrize("place", list(ALSO_WRONG))
async def test_other_faults_are_refused_also_where_text_is_replaced(managed: Managed, place: str) -> None:
    state_type, state = ALSO_WRONG[place]
    chats = managed(default_state=lambda _: state, state_type=state_type, unstorable_text="replace")
    refused = await chats.create_session("s")
    assert isinstance(refused.error, InvalidStateError)
    assert refused.error.path == place


UPGRADED: dict[str, tuple[Any, Callable[[Any], Any], Any]] = {
    "values": (None, lambda state: {"a": [state["title"] + "\0", "\ud83d"]}, {"a": ["\ufffd", "\ufffd"]}),
    "keys": (None, lambda _: {"\0": {"\ud83d": 1}}, {"\ufffd": {"\ufffd": 1}}),
    "in place": (None, lambda state: state.update(title="\0"), {"title": "\ufffd"}),
    "a typed state": (
        Chat,
        lambda _: {"title": "\0", "extra": "\ud83d"},
        Chat.model_validate({"title": "\ufffd", "extra": "\ufffd"}),
    ),
}


@needs(Capability.SHAPES)
@pytest.mark.parametrize("name", UPGRADED)
async def test_text_that_an_upgrade_makes_is_replaced_too(managed: Managed, name: str) -> None:
    state_type, upgrade, becomes = UPGRADED[name]
    await managed(default_state=lambda _: {"title": ""}).create_session("s")
    given: dict[str, Any] = {"state_type": state_type, "state_version": 2, "upgrades": {1: upgrade}}
    chats = managed(unstorable_text="replace", **given)

    assert (await chats.get_session("s")).unwrap() == becomes
    updated = await chats.update_session("s", lambda state: state)
    assert updated.unwrap() == becomes
    assert updated.applied
    refused = await managed(**given).get_session("s")
    assert refused.success  # the state that is stored can be stored again


@needs(Capability.SHAPES)
async def test_two_keys_of_an_upgrade_that_would_become_one_are_refused(managed: Managed) -> None:
    await managed().create_session("s")
    chats = managed(
        unstorable_text="replace", state_version=2, upgrades={1: lambda _: {"all": {"a\0": 1, "a\ufffd": 2}}}
    )

    refused = await chats.get_session("s")

    assert isinstance(refused.error, CorruptStateError)
    assert refused.error.path.startswith("$.all")
    assert "upgrades[1]" in str(refused.error)


async def test_a_read_never_replaces_stored_text(managed: Managed, storage: StorageProvider) -> None:
    text = '{"a":"\\\\u0000 \\\\ud83d \ufffd"}'
    await storage.create(draft(state=text))
    read = await managed(unstorable_text="replace").get_session("s")
    assert read.unwrap() == {"a": "\\u0000 \\ud83d \ufffd"}
