"""ReplaceState, and the rules by which the value that an update function returned becomes the new state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ..codec.jsontext import Refused, named

T = TypeVar("T")

_KINDS: Final[dict[type, str]] = {dict: "object", list: "array"}

_ADVICE: Final = (
    "return None after changing the state in place, or return ReplaceState(value) to make the value the whole new state"
)


@dataclass(frozen=True)
class ReplaceState(Generic[T]):
    """Wraps the value that an update function returns, to say that it is the whole new state.

    A lambda may return a value by accident, as ``lambda state: state["items"].pop()`` does. So an update that would
    turn an object or an array into another type, or into a part of itself, is refused unless it returns a ReplaceState.

    Attributes:
        state: The new state.
    """

    state: T


def new_state(given: T, returned: Any, original: Callable[[], T]) -> T:
    """Returns the new state after an update function was applied.

    Args:
        given: The state that the function was given; the function may have changed it.
        returned: The value that the function returned.
        original: Decodes the state again, as it was before the function was applied.

    Raises:
        Refused: The returned value is probably not meant as the new state.
    """
    if returned is None or returned is given:
        return given
    if isinstance(returned, ReplaceState):
        return returned.state  # type: ignore[no-any-return]
    kind: type = type(given)
    if kind in _KINDS:
        if type(returned) is not kind:
            raise Refused(f"is an {_KINDS[kind]}, and the update would make it {named(type(returned))}; {_ADVICE}")
        # _shares() comes first, because nearly all returned values are copies, and it looks at few members.
        if not _shares(returned, given) and (_is_part(returned, given) or _is_left_over(returned, given, original)):
            raise Refused(f"would be replaced by a part of itself; {_ADVICE}")
    return returned  # type: ignore[no-any-return]


def _shares(returned: Any, given: Any) -> bool:
    """Whether the returned value has objects or arrays of the state as its own members, as a shallow copy has."""
    if isinstance(returned, dict):
        return any(type(member) in _KINDS and returned.get(key) is member for key, member in given.items())
    own = {id(member) for member in given if type(member) in _KINDS}
    return any(id(member) in own for member in returned)


def _is_part(returned: Any, given: Any) -> bool:
    """Whether the returned value lies within the state, as in ``lambda state: state.setdefault("user", {})``."""
    return any(inner is returned for inner in _containers(given))


def _is_left_over(returned: Any, given: Any, original: Callable[[], Any]) -> bool:
    """Whether the function changed the state in place and returned a part that it took out of the state.

    A function that did not change the state returns a new state. A function that changed the state may also return a
    changed copy, which still has members of the state.
    """
    before = original()
    if _equal(before, given) or _equal(returned, given):
        return False
    if not _equal(before, original()):
        return False  # two copies of this state are unequal (NaN, a class without ==): nobody knows what changed
    if any(_equal(inner, returned) for inner in _containers(before)):
        return True
    if isinstance(returned, dict):
        if any(member is given for member in returned.values()):
            return False
        kept = [key for key, member in returned.items() if key in given and _equal(member, given[key])]
        return not kept or (len(kept) < len(returned) and not given.keys() <= returned.keys())
    members = {_identity(member) for member in given} | {id(given)}
    return not any(_identity(member) in members for member in returned)


def _containers(value: Any) -> Iterator[Any]:
    """The objects and arrays within a value, without the value itself."""
    waiting, seen = [value], {id(value)}
    while waiting:
        outer = waiting.pop()
        for inner in outer.values() if type(outer) is dict else outer:
            if type(inner) in _KINDS and id(inner) not in seen:
                seen.add(id(inner))
                waiting.append(inner)
                yield inner


def _equal(first: Any, second: Any) -> bool:
    try:
        return bool(first == second)
    except Exception:  # noqa: BLE001  # __eq__ of any object that the function put into the state may raise
        return False


def _identity(member: Any) -> object:
    """Returns what identifies a member of an array: the value of a scalar, else the id of the object."""
    return (type(member), member) if isinstance(member, str | int | float | None) else id(member)
