"""Typed states that would come back different: each is refused with the first path that differs."""

from __future__ import annotations

import re
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Generic, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    SerializeAsAny,
    field_serializer,
    field_validator,
)
from typing_extensions import TypedDict

from sessionstore import InvalidStateError, SessionNotFoundError

from ...support.any_type import Base, Colour, Derived, Text
from ..given import Managed

T = TypeVar("T")


class Account(BaseModel):
    token: SecretStr = SecretStr("")
    raw: SecretBytes = SecretBytes(b"")
    number: Secret[str] = Secret("")


class Family(BaseModel):
    members: list[Base] = []
    shown: list[SerializeAsAny[Base]] = []
    by_name: dict[str, tuple[Base, ...]] = {}


@dataclass
class Counted:
    name: str = ""
    n: int = field(init=False, default=0)


@dataclass
class Scored:
    score: float = 0
    yes: bool = 0  # type: ignore[assignment]


class Named(TypedDict):
    a: int


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")

    body: Any = None
    keyed: dict[Any, str] = {}
    either: dict[int | str, str] = {}


class Normal(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def shouted(cls, text: str) -> str:
        return f"{text}!"


class Kept(BaseModel):
    order: OrderedDict[str, int] = Field(default_factory=OrderedDict)
    newest: deque[int] = Field(default_factory=deque)
    lists: defaultdict[str, list[int]] = Field(default_factory=lambda: defaultdict[str, list[int]](list))
    pattern: re.Pattern[str] = re.compile("a")
    several: Sequence[int] = []


class Deferred(BaseModel):
    model_config = ConfigDict(defer_build=True)

    order: OrderedDict[str, int] = Field(default_factory=OrderedDict)


class Lazy(BaseModel):
    some: Iterable[int]


class Numbers(BaseModel):
    whole: int = 0
    ratio: float = 0.0
    yes: bool = False
    text: str = ""
    price: Decimal = Decimal(0)
    either: int | float | bool | str = 0
    on: date = date(2031, 1, 1)
    at: datetime = datetime(2031, 1, 1, tzinfo=UTC)


class Pair(NamedTuple):
    a: Any
    b: Any = None


class Box(BaseModel, Generic[T]):
    content: T


class Names(RootModel[list[Base]]):
    pass


class Own:
    """A class of a service, without ``==``. It is stored as its number."""

    def __init__(self, number: Any, note: str = "") -> None:
        self.number = number
        self.note = note


OwnField = Annotated[Own, PlainValidator(Own), PlainSerializer(lambda own: own.number)]


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    own: OwnField = Field(default_factory=lambda: Own(0))


class Equal(BaseModel):
    """A model that equals anything with the same id."""

    id: int = 0
    parts: list[Base] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal) and self.id == other.id

    __hash__ = None  # type: ignore[assignment]


class Lossy(BaseModel):
    text: str = ""

    @field_serializer("text")
    def cut(self, text: str) -> str:
        return text[:3]


@dataclass(slots=True)
class Slotted:
    x: Any = None


def loose(**extra: Any) -> Loose:
    return Loose(**extra)


def changed(made: T, **values: Any) -> T:
    for name, value in values.items():
        setattr(made, name, value)
    return made


def without(model: T, name: str) -> T:
    del vars(model)[name]
    return model


# The type, a function that makes a state of it, and the first path that would differ.
DIFFERING: dict[str, tuple[Any, Callable[[], Any], str]] = {
    "secret text": (Account, lambda: Account(token=SecretStr("hunter2")), "$.token"),
    "secret bytes": (Account, lambda: Account(raw=SecretBytes(b"hunter2")), "$.raw"),
    "secret of a type": (Account, lambda: Account(number=Secret[str]("hunter2")), "$.number"),
    "subclass in a list": (Family, lambda: Family(members=[Base(), Derived()]), "$.members[1]"),
    "subclass that is written whole": (Family, lambda: Family(shown=[Derived()]), "$.shown[0]"),
    "subclass in a mapping of tuples": (Family, lambda: Family(by_name={"x": (Derived(),)}), "$.by_name.x[0]"),
    "subclass as the state": (Base, Derived, "$"),
    "subclass in a root model": (Names, lambda: Names([Base(), Derived()]), "$[1]"),
    "subclass in a typed dict": (dict[str, Base], lambda: {"x": Derived()}, "$.x"),
    "field that is no argument": (Counted, lambda: changed(Counted("x"), n=5), "$.n"),
    "attribute beside the fields": (Counted, lambda: changed(Counted("x"), more=5), "$.more"),
    "key without a name": (Named, lambda: {"a": 1, "typo": 2}, "$.typo"),
    "keys that collide under Any": (Loose, lambda: Loose(keyed={1: "a", "1": "b"}), "$.keyed[1]"),
    "keys that collide in a union": (Loose, lambda: Loose(either={1: "a", "1": "b"}), "$.either[1]"),
    "keys that collide in a body": (Loose, lambda: Loose(body={1: "a", "1": "b"}), "$.body[1]"),
    "number as a key": (Loose, lambda: Loose(body=[{1: "a"}]), "$.body[0][1]"),
    "bool as a key": (Loose, lambda: Loose(body={True: "a"}), '$.body["<bool>"]'),
    "None as a key": (Loose, lambda: Loose(keyed={None: "a"}), '$.keyed["<NoneType>"]'),
    "enum as a key": (Loose, lambda: Loose(keyed={Colour.RED: "a"}), "$.keyed.red"),
    "tuple under Any": (Loose, lambda: Loose(body=(1, 2)), "$.body"),
    "set under Any": (Loose, lambda: Loose(body={1}), "$.body"),
    "Decimal under Any": (Loose, lambda: Loose(body=Decimal("1.5")), "$.body"),
    "datetime under Any": (Loose, lambda: Loose(body=[datetime(2031, 1, 1, tzinfo=UTC)]), "$.body[0]"),
    "bytes under Any": (Loose, lambda: Loose(body=b"x"), "$.body"),
    "UUID under Any": (Loose, lambda: Loose(body={"k": UUID(int=1)}), "$.body.k"),
    "enum under Any": (Loose, lambda: Loose(body=Colour.RED), "$.body"),
    "model under Any": (Loose, lambda: Loose(body=Base()), "$.body"),
    "dataclass under Any": (Loose, lambda: Loose(body=Slotted()), "$.body"),
    "named tuple under Any": (Loose, lambda: Loose(body=Pair(1)), "$.body"),
    "tuple as an extra field": (Loose, lambda: loose(more=(1,)), "$.more"),
    "set within an extra field": (Loose, lambda: loose(more=[{"a": {1}}]), "$.more[0].a"),
    "tuple within a named tuple": (Pair, lambda: Pair(1, (2,)), "$[1]"),
    "tuple in slots": (Slotted, lambda: Slotted([(1,)]), "$.x[0]"),
    "validator that is not idempotent": (Normal, lambda: Normal(text="a"), "$.text"),
    "serializer that leaves out": (Lossy, lambda: Lossy(text="longer"), "$.text"),
    "order of keys": (Kept, lambda: Kept(order=OrderedDict(zz=1, a=2)), "$.order"),
    "order of keys in a type that is built at first use": (
        Deferred,
        lambda: Deferred.model_construct(order=OrderedDict(zz=1, a=2)),
        "$.order",
    ),
    "longest list": (Kept, lambda: Kept(newest=deque([1], maxlen=3)), "$.newest"),
    "factory": (Kept, lambda: Kept().model_copy(update={"lists": defaultdict(lambda: [1])}), "$.lists"),
    "flags of a pattern": (Kept, lambda: Kept(pattern=re.compile("a", re.IGNORECASE)), "$.pattern"),
    "iterator": (Lazy, lambda: Lazy(some=iter([1])), "$.some"),
    "generator": (Lazy, lambda: Lazy.model_construct(some=(n for n in [1])), "$.some"),
    "tuple as a sequence": (Kept, lambda: Kept(several=(1, 2)), "$.several"),
    "bool as an int": (Numbers, lambda: changed(Numbers(), whole=True), "$.whole"),
    "int as a float": (Numbers, lambda: changed(Numbers(), ratio=1), "$.ratio"),
    "int as a float that is not the default": (Scored, lambda: Scored(score=1, yes=False), "$.score"),
    "int as a bool that is the default": (Scored, Scored, "$.yes"),
    "int as a bool": (Numbers, lambda: changed(Numbers(), yes=1), "$.yes"),
    "subclass of str": (Numbers, lambda: changed(Numbers(), text=Text("a")), "$.text"),
    "enum as a str": (Numbers, lambda: changed(Numbers(), text=Colour.RED), "$.text"),
    "NaN as a Decimal": (Numbers, lambda: changed(Numbers(), price=Decimal("NaN")), "$.price"),
    "signaling NaN": (Numbers, lambda: changed(Numbers(), price=Decimal("sNaN")), "$.price"),
    "time as a date": (Numbers, lambda: changed(Numbers(), on=datetime(2031, 1, 1, tzinfo=UTC)), "$.on"),
    "text as a time": (Numbers, lambda: changed(Numbers(), at="2031-01-01T00:00:00Z"), "$.at"),
    "zone of a time": (dict[str, time], lambda: {"at": time(9, tzinfo=ZoneInfo("Europe/Berlin"))}, "$.at"),
    "text that looks like a date": (dict[str, date | str], lambda: {"on": "2031-01-01"}, "$.on"),
    "generic of another type": (Box[int], lambda: Box(content=1), "$"),
    "own class": (Holder, lambda: Holder.model_construct(own=Own(1, "lost")), "$.own.note"),
    "own class with a tuple": (Holder, lambda: Holder.model_construct(own=Own((1,))), "$.own.number"),
    "== that is always true": (Equal, lambda: Equal(id=1, parts=[Derived()]), "$.parts[0]"),
    "field that is not there": (Family, lambda: without(Family(), "members"), "$.members"),
}


@pytest.mark.parametrize(("state_type", "make", "place"), list(DIFFERING.values()), ids=list(DIFFERING))
async def test_a_state_that_would_come_back_as_another_one_is_refused_with_its_place(
    managed: Managed, state_type: Any, make: Callable[[], Any], place: str
) -> None:
    chats = managed(default_state=lambda _: make(), state_type=state_type)
    created = await chats.create_session("s")
    assert isinstance(created.error, InvalidStateError)
    assert created.error.path == place
    assert "hunter2" not in str(created.error)
    assert isinstance((await chats.get_session("s")).error, SessionNotFoundError)

    lists = managed(default_state=lambda _: [], state_type=list[state_type])
    before = await lists.create_session("s")
    refused = await lists.update_session("s", lambda states: states.append(make()))
    assert isinstance(refused.error, InvalidStateError)
    assert refused.error.path == place.replace("$", "$[0]", 1)
    after = await lists.get_session("s")
    assert (after.data, after.version) == (before.data, before.version)


# Well-known traps, and the advice in their error messages.
ADVICE: dict[str, tuple[Any, Callable[[], Any], str]] = {
    "bytes": (dict[str, bytes], lambda: {"a": b"\xff"}, 'ser_json_bytes="base64" and val_json_bytes="base64"'),
    "iterable": (Lazy, lambda: Lazy.model_construct(some=[1]), "declare a list"),
    "iterator": (Lazy, lambda: Lazy(some=iter([1])), "declare a list"),
    "whole number": (Numbers, lambda: changed(Numbers(), ratio=1), "store a float"),
}


@pytest.mark.parametrize(("state_type", "make", "advice"), list(ADVICE.values()), ids=list(ADVICE))
async def test_a_refusal_says_what_to_do(
    managed: Managed, state_type: Any, make: Callable[[], Any], advice: str
) -> None:
    refused = await managed(default_state=lambda _: make(), state_type=state_type).create_session("s")
    assert isinstance(refused.error, InvalidStateError)
    assert advice in str(refused.error)
