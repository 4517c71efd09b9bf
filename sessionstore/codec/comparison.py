"""Compares a value with the value that was read back from its JSON text. Each type has a comparison of its own."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, RootModel

from .differences import added, lost, lost_key, of_another_type, other_value
from .jsontext import Refused, named
from .scalars import EXACT
from .schema import Unstored
from .shapes import ABSENT, attributes, default, layout, model_fields

_NO_FIELDS: Final[frozenset[str]] = frozenset()
_OTHER_FACTORY: Final = "would come back with another default_factory; store a dict"


class Comparison:
    """One comparison of two states. Each method compares two values of one type and raises Refused if they differ."""

    __slots__ = ("_open", "_unstored", "_ways")

    def __init__(self, unstored: Unstored, ways: Mapping[type, Way]) -> None:
        self._unstored = unstored
        self._ways = ways
        self._open: set[tuple[int, int]] = set()

    def same(self, given: Any, read: Any) -> None:
        kind = type(given)
        if kind is not type(read):
            raise of_another_type(given, read)
        self._ways[kind](self, given, read)

    def keyed(
        self,
        given: Mapping[Any, Any],
        read: Mapping[Any, Any],
        exempt: frozenset[str] = _NO_FIELDS,
        owner: type | None = None,
    ) -> None:
        """Compares two mappings by name.

        Args:
            given: The values of the caller, by name.
            read: The values that were read back, by name.
            exempt: Names that are not stored, and so not compared.
            owner: The class that has the names as fields; None: the names are keys or attributes.
        """
        name: object = None
        try:
            for name, value in given.items():
                other = read.get(name, ABSENT)
                if value is other:
                    continue
                kind = type(value)
                if kind is type(other) and kind in EXACT and value == other:
                    continue
                if name in exempt:
                    continue
                if other is ABSENT:
                    raise lost()
                if owner is not None and _is_declared(owner, name, value, other):
                    continue
                self.same(value, other)
        except Refused as refused:
            refused.inside(name)
            raise
        if len(read) > len(given) or exempt:
            for name in read:
                if name not in given and name not in exempt:
                    raise added(name)

    def model(self, given: BaseModel, read: BaseModel) -> None:
        kind: type = type(given)
        if layout(kind).cached:
            mine, theirs = model_fields(given), model_fields(read)
        else:
            mine, theirs = given.__dict__, read.__dict__
        self.keyed(mine, theirs, self._unstored.fields_of(kind), kind)
        if given.__pydantic_extra__ or read.__pydantic_extra__:
            self.keyed(given.__pydantic_extra__ or {}, read.__pydantic_extra__ or {})

    def root(self, given: RootModel[Any], read: RootModel[Any]) -> None:
        self.same(given.root, read.root)

    def dataclass(self, given: Any, read: Any) -> None:
        kind: type = type(given)
        if layout(kind).slots or layout(kind).cached or len(given.__dict__) != len(read.__dict__):
            mine, theirs = attributes(given), attributes(read)
        else:
            mine, theirs = given.__dict__, read.__dict__
        self.keyed(mine, theirs, self._unstored.fields_of(kind), kind)

    def mapping(self, given: Mapping[Any, Any], read: Mapping[Any, Any]) -> None:
        keys: dict[Any, Any] | None = None
        if len(given) == len(read):
            for (key, value), (its_key, other) in zip(given.items(), read.items(), strict=True):
                if key is its_key or (type(key) is str and type(its_key) is str and key == its_key):
                    kind = type(value)
                    if value is other or (kind is type(other) and kind in EXACT and value == other):
                        continue
                    self._member(key, value, other)
                else:
                    keys = _by_itself(read)
                    break
            else:
                return
        self._unordered(given, read, _by_itself(read) if keys is None else keys)

    def _unordered(self, given: Mapping[Any, Any], read: Mapping[Any, Any], keys: dict[Any, Any]) -> None:
        exempt = self._unstored.keys_of(given)
        for key, value in given.items():
            its_key = _found(keys, key)
            if its_key is ABSENT:
                if key in exempt:
                    continue
                raise lost_key(key)
            try:
                self.same(key, its_key)
            except Refused:
                pass
            else:
                if key not in exempt:
                    self._member(key, value, read[its_key])
                continue
            raise lost_key(key)
        if len(given) != len(read):
            known = _by_itself(given)
            for key in read:
                if _found(known, key) is ABSENT and key not in exempt:
                    raise added(key)

    def _member(self, step: object, value: object, other: object) -> None:
        try:
            self.same(value, other)
        except Refused as refused:
            refused.inside(step)
            raise

    def ordered(self, given: OrderedDict[Any, Any], read: OrderedDict[Any, Any]) -> None:
        self.mapping(given, read)
        for key, its_key in zip(given, read, strict=False):
            if key != its_key:
                raise Refused("would come back in another order; store a list of pairs")

    def factory(self, given: defaultdict[Any, Any], read: defaultdict[Any, Any]) -> None:
        self.mapping(given, read)
        mine, theirs = given.default_factory, read.default_factory
        if mine is not theirs:
            if mine is None or theirs is None:
                raise Refused(_OTHER_FACTORY)
            self._made(mine, theirs)

    def _made(self, mine: Callable[[], Any], theirs: Callable[[], Any]) -> None:
        """Compares the values that two default factories return."""
        refused: Refused | None = None
        try:
            self.same(mine(), theirs())
        except Exception:  # noqa: BLE001  # a factory that raises does not make an equal value
            refused = Refused(_OTHER_FACTORY)
        if refused is not None:
            raise refused

    def sequence(self, given: Any, read: Any) -> None:
        index = -1
        try:
            for value, other in zip(given, read, strict=False):
                index += 1
                if value is other:
                    continue
                kind = type(value)
                if kind is type(other) and kind in EXACT and value == other:
                    continue
                self.same(value, other)
        except Refused as refused:
            refused.inside(index)
            raise
        if len(given) > len(read):
            raise lost(index + 1)
        if len(given) < len(read):
            raise added(index + 1)

    def queue(self, given: deque[Any], read: deque[Any]) -> None:
        self.sequence(given, read)
        if given.maxlen != read.maxlen:
            raise Refused("would come back with another maxlen; store a list")

    def collection(self, given: Any, read: Any) -> None:
        members = _by_itself(read)
        for index, value in enumerate(given):
            other = _found(members, value)
            if other is ABSENT:
                raise lost(index)
            self._member(index, value, other)
        if len(given) != len(read):
            raise Refused("would come back with more members; add them before storing")

    def attributes(self, given: Any, read: Any) -> None:
        self.keyed(attributes(given), attributes(read))

    def secret(self, given: Any, read: Any) -> None:
        refused: Refused | None = None
        try:
            self.same(given.get_secret_value(), read.get_secret_value())
        except Refused:
            shown = named(type(given))
            refused = Refused(f"is {shown}, of which pydantic stores asterisks; give the field a serializer")
        if refused is not None:
            raise refused

    def instance(self, given: Any, read: Any) -> None:
        """Compares instances of a class that the library does not know, by their attributes."""
        pair = (id(given), id(read))
        if pair in self._open:
            return
        self._open.add(pair)
        mine, theirs = attributes(given), attributes(read)
        if mine or theirs:
            self.keyed(mine, theirs)
        else:
            self.opaque(given, read)

    def opaque(self, given: Any, read: Any) -> None:
        """Compares by ``==``. If the class does not define ``==``, compares the arguments that pickle would keep."""
        try:
            if given == read:
                return
            defines_eq = "__eq__" in {name for base in type(given).__mro__[:-1] for name in vars(base)}
        except Exception:  # noqa: BLE001  # __eq__ of a user's class may raise anything
            defines_eq = False
        if defines_eq:
            raise other_value(given)
        self._pickled(given, read)

    def _pickled(self, given: Any, read: Any) -> None:
        refused: Refused | None = None
        try:
            self.same(given.__reduce_ex__(4), read.__reduce_ex__(4))
        except Exception:  # noqa: BLE001  # __reduce_ex__ of a user's class may raise anything
            shown = named(type(given))
            refused = Refused(f"is {shown}, which cannot be compared with the value that is read back; define __eq__()")
        if refused is not None:
            raise refused


Way: TypeAlias = Callable[[Comparison, Any, Any], None]
"""Compares two values of one type: a method of Comparison, or a function of scalars.py."""


def _is_declared(owner: type, name: Any, given: object, read: object) -> bool:
    """Whether the values differ only because a float field declares an int as its default, as ``seconds: float = 0``.

    pydantic does not convert the default to a float, but it reads a float back.
    """
    if type(given) is not int or type(read) is not float or given != read:
        return False
    declared = default(owner, name)
    return type(declared) is int and declared == given


def _by_itself(values: Iterable[Any]) -> dict[Any, Any]:
    return {value: value for value in values}


def _found(members: dict[Any, Any], value: Any) -> Any:
    try:
        return members.get(value, ABSENT)
    except Exception:  # noqa: BLE001  # __hash__ or __eq__ of a user's class may raise anything
        return ABSENT
