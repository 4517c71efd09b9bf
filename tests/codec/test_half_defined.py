"""A state type that pydantic has no schema for, now or for good, is told as that and not as a state that is bad."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import GenericAlias, ModuleType
from typing import Annotated, Any, ForwardRef, cast

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sessionstore import ConfigurationError, MemoryStorageProvider, SessionManager

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass, field
from typing_extensions import TypedDict
from pydantic import BaseModel, ConfigDict

class Holder(BaseModel):
    held: list[Later] = []

class Outer(BaseModel):
    inner: Holder

class Deferred(BaseModel):
    model_config = ConfigDict(defer_build=True)
    held: list[Later]

@dataclass
class Record:
    held: list[Later] = field(default_factory=list)

class Typed(TypedDict):
    held: list[Later]
"""

TYPES: dict[str, Callable[[Any], Any]] = {
    "Holder": lambda module: module.Holder,
    "Outer": lambda module: module.Outer,
    "Deferred": lambda module: module.Deferred,
    "Record": lambda module: module.Record,
    "Typed": lambda module: module.Typed,
    "list[half_defined.Typed]": lambda module: GenericAlias(list, (module.Typed,)),
    "dict[str, half_defined.Holder]": lambda module: TypeAdapter(
        cast("Any", GenericAlias(dict, (str, module.Holder))), config=ConfigDict(defer_build=True)
    ),
}
UNRESOLVED: dict[str, Callable[[Any], Any]] = {
    "ForwardRef('Later'": lambda _: ForwardRef("Later"),
    "'Later'": lambda _: "Later",
}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A service's module, anew for each test, in which the types name one that is not defined."""
    made = ModuleType("half_defined")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    exec(SOURCE, vars(made))  # noqa: S102  # a class that was completed once would stay so
    return made


@pytest.mark.parametrize("shown", TYPES | UNRESOLVED)
async def test_a_type_that_names_an_undefined_type_is_refused_by_the_first_call(module: ModuleType, shown: str) -> None:
    storage = MemoryStorageProvider()
    plain = SessionManager(lambda _: {"held": ["cf9f1d0b"]}, storage)
    version = (await plain.create_session("s")).version
    chats: SessionManager[Any] = SessionManager(
        lambda _: {"held": ["cf9f1d0b"]}, storage, state_type=(TYPES | UNRESOLVED)[shown](module)
    )
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: chats.create_session("new"),
        lambda: chats.get_session("s"),
        lambda: chats.update_session("s", lambda _: None),
    ]

    for call in calls:
        with pytest.raises(ConfigurationError, match="is not fully defined") as raised:
            await call()
        message = str(raised.value)
        assert shown in message
        assert "'Later'" in message
        assert "model_rebuild()" in message
        assert raised.value.__cause__ is raised.value.__context__ is None

    found = await plain.get_session("s")
    assert (found.unwrap(), found.version) == ({"held": ["cf9f1d0b"]}, version)
    assert not (await plain.get_session("new")).success
    assert (await chats.delete_session("s")).data


@pytest.mark.parametrize("shown", TYPES)
async def test_a_type_that_is_completed_later_works_then(module: ModuleType, shown: str) -> None:
    given = TYPES[shown](module)
    state: Any = {"inner": {"held": [1]}} if shown == "Outer" else {"held": [1]}
    state = [state] if shown.startswith("list") else {"a": state} if shown.startswith("dict") else state
    storage = MemoryStorageProvider()
    plain = SessionManager(lambda _: state, storage)
    kind: Any = getattr(given, "_type", given)
    chats: SessionManager[Any] = SessionManager(
        lambda _: TypeAdapter(kind).validate_python(state), storage, state_type=given
    )
    with pytest.raises(ConfigurationError):
        await chats.get_session((await plain.create_session("s")).session_id)

    vars(module)["Later"] = int

    assert (await chats.create_session("new")).created
    assert TypeAdapter(kind).dump_python((await chats.get_session("new")).unwrap()) == state
    assert TypeAdapter(kind).dump_python((await chats.get_session("s")).unwrap()) == state


async def test_a_model_that_is_rebuilt_where_the_name_is_known_works_then(module: ModuleType) -> None:
    chats: SessionManager[Any] = SessionManager(lambda _: module.Outer(inner={"held": [1]}), state_type=module.Outer)
    module.Holder.model_rebuild(_types_namespace={"Later": int})
    module.Outer.model_rebuild(_types_namespace={"Later": int})

    assert (await chats.create_session("s")).unwrap().inner.held == [1]
    assert (await chats.get_session("s")).unwrap().inner.held == [1]


class Alien:
    """Nothing that pydantic knows."""


@dataclass
class Ship:
    crew: Alien


@pytest.mark.parametrize(
    ("given", "shown"),
    [(Alien, "Alien"), (Ship, "Ship"), (dict[str, Alien], "Alien"), (7, "7")],
    ids=["class", "dataclass", "dict", "value"],
)
def test_a_type_that_pydantic_has_no_schema_for_is_refused_by_name_at_once(given: Any, shown: str) -> None:
    with pytest.raises(ConfigurationError, match=shown) as raised:
        SessionManager(lambda _: given, state_type=given)

    assert "a model, a dataclass or a TypedDict" in str(raised.value)
    assert raised.value.__cause__ is not None


class Kind(BaseModel):
    kind: str


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (Alien, "Unable to generate pydantic-core schema for <class .*Alien.*>"),
        (list[Annotated[Kind | int, Field(discriminator="kind")]], "Model 'Kind' needs field 'kind' to be of type"),
    ],
    ids=["class", "discriminator"],
)
def test_the_reason_that_pydantic_gives_is_in_the_message(given: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"or for a part of it \({reason}"):
        SessionManager(lambda _: given, state_type=given)


async def test_a_name_that_is_then_defined_as_something_without_a_schema_is_refused_by_name(module: ModuleType) -> None:
    chats: SessionManager[Any] = SessionManager(lambda _: {"held": []}, state_type=module.Typed)
    vars(module)["Later"] = Alien

    with pytest.raises(ConfigurationError, match=r"no schema for the state_type .*Typed"):
        await chats.create_session("s")
