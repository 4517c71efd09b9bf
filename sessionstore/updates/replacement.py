"""What an update function returned, and what that makes of the state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ..codec.jsontext import Refused, named

T = TypeVar("T")

_KINDS: Final[dict[type, str]] = {dict: "object", list: "array"}

_ADVICE: Final = (
    "return None after changing the state in place, or ReplaceState(value) where the value is to be the whole new state"
)


@dataclass(frozen=True)
class ReplaceState(Generic[T]):
    """What an update function returns to say: whatever was there, this is the whole new state.

    An update whose last expression happens to have a value, as in ``lambda state: state["items"].pop()``, would make
    that value the state. So an object or an array only becomes something else where it is said in this way.

    Attributes:
        state: The new state.
    """

    state: T


def new_state(given: T, returned: Any, original: Callable[[], T]) -> T:
    """The state after an update function was applied.

    Args:
        given: What the function was given, as the function left it.
        returned: What the function returned.
        original: Makes anew what the function was given.

    Raises:
        Refused: What it returned is hardly meant as the new state.
    """
    if returned is None or returned is given:
        return given
    if isinstance(returned, ReplaceState):
        return returned.state  # type: ignore[no-any-return]
    kind: type = type(given)
    if kind in _KINDS:
        if type(returned) is not kind:
            raise Refused(f"is an {_KINDS[kind]}, and the update would make it {named(type(returned))}; {_ADVICE}")
        # In this order, because nearly all are copies, and to tell those takes no look into the state.
        if not _shares(returned, given) and (_is_part(returned, given) or _is_left_over(returned, given, original)):
            raise Refused(f"would become a part of what it was; {_ADVICE}")
    return returned  # type: ignore[no-any-return]


def _shares(returned: Any, given: Any) -> bool:
    """Whether what was returned has objects or arrays of the state as its own members, as a copy has."""
    if isinstance(returned, dict):
        return any(type(member) in _KINDS and returned.get(key) is member for key, member in given.items())
    own = {id(member) for member in given if type(member) in _KINDS}
    return any(id(member) in own for member in returned)


def _is_part(returned: Any, given: Any) -> bool:
    """Whether what was returned lies in the state, as in ``lambda state: state.setdefault("user", {})``."""
    return any(inner is returned for inner in _containers(given))


def _is_left_over(returned: Any, given: Any, original: Callable[[], Any]) -> bool:
    """Whether the state was changed in place, and what was returned is no later form of it but something taken out.

    A function that leaves the state alone makes a new one of it, whatever that is. One that changes the state in place
    and returns another object may return a copy of it with more or fewer members, which has members of the state.
    """
    before = original()
    if _equal(before, given) or _equal(returned, given):
        return False
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
    """The objects and arrays within a value."""
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
    except Exception:  # noqa: BLE001  # the function may have put anything into the state
        return False


def _identity(member: Any) -> object:
    """What tells a member of an array from any other: which object it is, or its value where it has no parts."""
    return (type(member), member) if isinstance(member, str | int | float | None) else id(member)
