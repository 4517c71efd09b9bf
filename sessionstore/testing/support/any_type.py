"""State types that Hypothesis makes, with values that fit the types and values that do not.

`canonical` defines when two states are equal, with the same types. It uses nothing of the library, which it tests.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, RootModel, SecretStr, create_model
from typing_extensions import TypedDict

Made: TypeAlias = tuple[Any, st.SearchStrategy[Any]]
"""A type, and a strategy for its values."""
Case: TypeAlias = tuple[Any, Any]
"""A state type, and a value."""


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


class Mood(Enum):
    CALM = (1, "calm")


class Text(str):
    __slots__ = ()


class Base(BaseModel):
    a: int = 1


class Derived(Base):
    b: int = 2


class Pair(NamedTuple):
    a: Any
    b: Any = None


@dataclasses.dataclass
class Record:
    x: Any = None


_TEXT: Final = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
_NUMBERS: Final = st.floats(allow_nan=False, allow_infinity=False)
_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=4,
)
_ZONES: Final = st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=45))])
_SIMPLE: Final[list[Made]] = [
    (int, st.integers(-(2**63), 2**63 - 1)),
    (float, _NUMBERS),
    (str, _TEXT),
    (bool, st.booleans()),
    (bytes, _TEXT.map(str.encode)),
    (datetime, st.datetimes(timezones=_ZONES)),
    (date, st.dates()),
    (time, st.times()),
    (timedelta, st.timedeltas(timedelta(days=-900_000), timedelta(days=900_000))),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (UUID, st.uuids()),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (PurePosixPath, _TEXT.map(PurePosixPath)),
    (Base, st.builds(Base, a=st.integers(-5, 5))),
    (Any, _JSON),
]
_KEYS: Final[list[Made]] = [
    (str, _TEXT),
    (int, st.integers(-5, 2**63 - 1)),
    (UUID, st.uuids()),
    (date, st.dates()),
    (Colour, st.sampled_from(Colour)),
]


class Cyclic:
    def __init__(self) -> None:
        self.inner = self


def _looped() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


class Liar:
    """An object that claims to equal anything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Thrower:
    def __eq__(self, other: object) -> bool:
        raise KeyError("no")

    __hash__ = None  # type: ignore[assignment]


# Values that are put where a value of another type belongs. Each place gets a new one.
_FOREIGN: Final = st.sampled_from(
    [
        *(lambda: True, lambda: 1, lambda: 1.0, lambda: "1", lambda: "red", lambda: None, lambda: b"1", lambda: 10**30),
        *(lambda: float("nan"), lambda: "\0", lambda: "\ud800", lambda: b"\xff", lambda: Decimal("NaN")),
        *(
            lambda: Text("red"),
            lambda: Colour.RED,
            lambda: Level.LOW,
            lambda: Mood.CALM,
            lambda: 1j,
            lambda: Fraction(1, 3),
        ),
        *(
            lambda: (1, 2),
            lambda: {1},
            lambda: frozenset({1}),
            lambda: deque([1], 1),
            lambda: range(2),
            lambda: iter([1]),
        ),
        *(lambda: {1: 2, "1": 3}, lambda: {None: 1}, lambda: OrderedDict(zz=1, a=2), lambda: Counter("a")),
        *(lambda: defaultdict(list, a=[1]), Derived, Base.model_construct, lambda: Pair(1)),
        *(
            lambda: Record((1,)),
            lambda: RootModel[list[int]]([1]),
            lambda: SecretStr("hunter2"),
            lambda: datetime.min,  # noqa: DTZ901  # naive on purpose
        ),
        *(object, Cyclic, Liar, Thrower, _looped, lambda: object, lambda: len, lambda: ...),
    ]
).map(lambda make: make())


_COMPOSED: Final = ("simple", "list", "set", "tuple", "pair", "dict", "optional", "deque", *["fields"] * 4)


def _made_type(draw: st.DrawFn, depth: int) -> Made:
    inner: Any
    key_type: Any
    of: Any
    kind = draw(st.sampled_from(_COMPOSED)) if depth else "simple"
    key_type, keys = draw(st.sampled_from(_KEYS))
    inner, values = draw(st.sampled_from(_SIMPLE))
    if kind == "simple":
        return inner, values
    if kind == "fields":
        return _with_fields(draw, depth)
    if kind == "set":
        of = draw(st.sampled_from([set, frozenset]))
        return of[key_type], st.sets(keys, max_size=3).map(of)
    inner, values = _made_type(draw, depth - 1)
    composed: dict[str, Made] = {
        "list": (list[inner], st.lists(values, max_size=3)),
        "tuple": (tuple[inner, ...], st.lists(values, max_size=3).map(tuple)),
        "deque": (deque[inner], st.lists(values, max_size=3).map(deque)),
        "optional": (inner | None, st.none() | values),
        "pair": (tuple[str, inner], st.tuples(_TEXT, values)),
        "dict": (dict[key_type, inner], st.dictionaries(keys, values, max_size=3)),
    }
    return composed[kind]


def _with_fields(draw: st.DrawFn, depth: int) -> Made:
    made = {f"f{number}": _made_type(draw, depth - 1) for number in range(draw(st.integers(1, 3)))}
    types = {name: inner for name, (inner, _) in made.items()}
    values = st.fixed_dictionaries({name: values for name, (_, values) in made.items()})
    kind = draw(st.sampled_from(["model", "extra", "dataclass", "slots", "typed dict", "named tuple"]))
    if kind == "typed dict":
        return TypedDict("MadeDict", types), values  # type: ignore[operator]
    if kind == "named tuple":
        tuple_type = NamedTuple("MadeTuple", list(types.items()))  # type: ignore[misc]
        return tuple_type, values.map(lambda held: tuple_type(**held))
    if kind in ("dataclass", "slots"):
        record = dataclasses.make_dataclass("MadeRecord", list(types.items()), slots=kind == "slots")
        return record, values.map(lambda held: record(**held))
    config = ConfigDict(extra="allow" if kind == "extra" else "ignore", arbitrary_types_allowed=True)
    make: Any = create_model
    model = make("MadeModel", __config__=config, **{name: (inner, ...) for name, inner in types.items()})
    if kind == "extra":
        values = st.builds(
            lambda held, more: held | more, values, st.dictionaries(_TEXT.map("e{}".format), _JSON, max_size=2)
        )
    return model, values.map(lambda held: model.model_construct(**held))


@st.composite
def honest(draw: st.DrawFn) -> Case:
    """Draws a type and a value of this type that JSON can keep."""
    state_type, values = _made_type(draw, draw(st.integers(0, 3)))
    return state_type, draw(values.filter(lambda state: state is not None))  # None is not a state


@st.composite
def hostile(draw: st.DrawFn) -> Case:
    """Draws a type and a value with something in one place that may not fit the type."""
    state_type, value = draw(honest())
    return state_type, spoilt(draw, value)


def spoilt(draw: st.DrawFn, value: Any) -> Any:
    """Returns the value with something foreign in one place."""
    foreign = draw(_FOREIGN)
    if draw(st.integers(0, 4)) == 0:
        return foreign
    if isinstance(value, BaseModel) and vars(value):
        name = draw(st.sampled_from(sorted(vars(value))))
        vars(value)[name] = spoilt(draw, vars(value)[name])
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = draw(st.sampled_from([field.name for field in dataclasses.fields(value)]))
        setattr(value, name, spoilt(draw, getattr(value, name)))
        return value
    if isinstance(value, dict):
        if draw(st.booleans()):
            return {**value, draw(st.sampled_from(["typo", 1, None, True, Colour.RED, (1,), "\ud800"])): foreign}
        return {key: spoilt(draw, member) for key, member in value.items()}
    if isinstance(value, list | deque) and value:
        value[0] = spoilt(draw, value[0])
        return value
    if isinstance(value, tuple) and value:
        members = [spoilt(draw, value[0]), *value[1:]]
        return value._make(members) if hasattr(value, "_make") else tuple(members)
    return foreign


def canonical(value: Any) -> Any:
    """Returns an object for comparing: two are equal if their values are equal, with the same types at every depth."""
    kind = type(value)
    if isinstance(value, BaseModel):
        return kind, _named(vars(value)), _named(value.__pydantic_extra__ or {})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return kind, _named({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, OrderedDict):
        return kind, tuple((canonical(key), canonical(member)) for key, member in value.items())
    if isinstance(value, dict):
        return kind, frozenset((canonical(key), canonical(member)) for key, member in value.items())
    if isinstance(value, deque):
        return kind, value.maxlen, tuple(map(canonical, value))
    if isinstance(value, list | tuple):
        return kind, tuple(map(canonical, value))
    if isinstance(value, set | frozenset):
        return kind, frozenset(map(canonical, value))
    if isinstance(value, SecretStr):
        return kind, value.get_secret_value()
    if kind is float:
        return kind, repr(value + 0.0)  # every storage turns -0.0 into 0.0
    if kind is Decimal:
        return kind, str(value)
    return kind, value


def _named(members: Mapping[str, Any]) -> Any:
    return frozenset((name, canonical(member)) for name, member in members.items())


def as_jsonb(text: str) -> str:
    """Returns the JSON text with the keys of objects in PostgreSQL's order."""
    return json.dumps(_sorted(json.loads(text)), ensure_ascii=False)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        ranked = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: _sorted(value[key]) for key in ranked}
    return [_sorted(member) for member in value] if isinstance(value, list) else value
