"""Typed states that are hard to store and come back equal, and fields that a type declares as not stored."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Generic, TypeVar
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, field_serializer
from typing_extensions import TypedDict

from ..given import Managed

T = TypeVar("T")


class Colour(StrEnum):
    RED = "red"


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")


class Box(BaseModel, Generic[T]):
    content: T


class Kept(BaseModel):
    order: OrderedDict[str, int] = Field(default_factory=OrderedDict)


@dataclass(slots=True)
class Slotted:
    x: Any = None


@dataclass
class Usage:
    """A dataclass with an int as the default of a float, as in many libraries. pydantic does not convert defaults."""

    seconds: float = 0
    cost: Annotated[float, Field(ge=0)] = 0


class Priced(BaseModel):
    price: float = 0
    usage: Usage | None = Field(default_factory=Usage)
    former: list[Usage] = []


class Stored(BaseModel):
    kept: int = 0
    dropped: int = Field(default=0, exclude=True)
    _private: int = PrivateAttr(default=0)


class StoredDict(TypedDict, total=False):
    kept: int
    dropped: Annotated[int, Field(exclude=True)]


@dataclass
class StoredRecord:
    kept: int = 0
    dropped: Annotated[int, Field(exclude=True)] = 0


class AllStored(BaseModel):
    models: list[Stored] = []
    records: dict[str, StoredRecord] = {}


def stored() -> Stored:
    made = Stored(kept=1, dropped=2)
    made._private = 3
    return made


@pytest.mark.parametrize(
    ("state_type", "given", "kept"),
    [
        (Stored, stored(), Stored(kept=1)),
        (StoredRecord, StoredRecord(1, 2), StoredRecord(1)),
        (StoredDict, StoredDict(kept=1, dropped=2), StoredDict(kept=1)),
        (
            AllStored,
            AllStored(models=[stored()], records={"a": StoredRecord(1, 2)}),
            AllStored(models=[Stored(kept=1)], records={"a": StoredRecord(1)}),
        ),
    ],
    ids=["model", "dataclass", "typed dict", "within others"],
)
async def test_a_field_that_is_declared_as_not_stored_comes_back_as_its_default(
    managed: Managed, state_type: Any, given: Any, kept: Any
) -> None:
    chats = managed(default_state=lambda _: given, state_type=state_type)
    assert (await chats.create_session("s")).unwrap() == kept
    assert (await chats.update_session("s", lambda _: given)).unwrap() == kept
    assert (await chats.get_session("s")).unwrap() == kept


class Revealed(BaseModel):
    token: SecretStr

    @field_serializer("token", when_used="json")
    def reveal(self, token: SecretStr) -> str:
        return token.get_secret_value()


BERLIN = ZoneInfo("Europe/Berlin")
EQUAL: dict[str, tuple[Any, Any]] = {
    "secret that a serializer reveals": (Revealed, Revealed(token=SecretStr("hunter2"))),
    "keys in the order of jsonb": (Kept, Kept(order=OrderedDict(a=1, zz=2))),
    "order of a dict, which does not matter": (dict[str, int], {"zz": 1, "a": 2}),
    "time zone": (list[datetime], [datetime(2031, 7, 15, 12, 0, 0, 1, BERLIN)]),
    "naive time": (list[datetime], [datetime(2031, 7, 15, 12, 0, 0, 1)]),  # noqa: DTZ001
    "NaN where the type takes it": (list[Annotated[Decimal, Field(allow_inf_nan=True)]], [Decimal("-Infinity")]),
    "durations": (dict[timedelta, timedelta], {timedelta.max: timedelta.min}),
    "frozen": (set[tuple[Colour, int]], {(Colour.RED, 1)}),
    "generic": (Box[list[Colour]], Box[list[Colour]](content=[Colour.RED])),
    "extra": (Loose, Loose.model_validate({"more": {"a": [1, 2.5, None, "x"]}})),
    "slots": (Slotted, Slotted([{"a": 1.0}])),
    "whole number as the default of a float": (Priced, Priced(former=[Usage(cost=1.5)])),
}


@pytest.mark.parametrize(("state_type", "state"), list(EQUAL.values()), ids=list(EQUAL))
async def test_a_state_that_pydantic_gives_back_unchanged_is_accepted(
    managed: Managed, state_type: Any, state: Any
) -> None:
    chats = managed(default_state=lambda _: state, state_type=state_type)
    for written in (
        await chats.create_session("s"),
        await chats.update_session("s", lambda _: state),
        await chats.get_session("s"),
    ):
        assert written.unwrap() == state
        assert type(written.unwrap()) is type(state)


async def test_an_instant_that_comes_twice_a_year_is_the_same_instant(managed: Managed) -> None:
    # Python says that this time differs from the same instant in any other time zone.
    twice = datetime(2031, 10, 26, 2, 30, tzinfo=BERLIN, fold=1)
    chats = managed(default_state=lambda _: [twice], state_type=list[datetime])
    (read,) = (await chats.create_session("s")).unwrap()
    assert read.timestamp() == twice.timestamp()


class Mood(Enum):
    CALM = 1


async def test_the_copy_that_a_caller_gets_equals_the_state_that_others_read(managed: Managed) -> None:
    chats = managed(default_state=lambda _: {}, state_type=dict[str, list[Mood]])
    await chats.create_session("s")
    updated = await chats.update_session("s", lambda _: {"a": [Mood.CALM]})
    assert updated.unwrap() == (await chats.get_session("s")).unwrap() == {"a": [Mood.CALM]}
