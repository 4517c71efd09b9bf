"""Sealed states: JSON objects that are stored as they are, or as text if storages refuse them as a state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from ..codec.items import ItemCodec
from ..errors import InvalidStateError, StateTooLargeError
from ..ids import SessionId
from ..manager import SessionManager
from ..session import SessionInfo, SessionResult
from ..updates.replacement import ReplaceState
from .pages import pages

T = TypeVar("T")

State: TypeAlias = dict[str, Any]
Seal: TypeAlias = Callable[[State], State]

MOST_BYTES: Final = 67_108_864
"""The longest state and item, as JSON in UTF-8, for adapters whose users store images."""

_TEXT: Final = "text"
_AT_ONCE: Final = 1_000
_TEXTS: Final[ItemCodec[Any]] = ItemCodec(None, MOST_BYTES)


def opened(state: State) -> State:
    """Returns the object that was stored."""
    if _TEXT not in state:
        return state
    found: State = _TEXTS.decode(state[_TEXT], 0, "")
    return found


async def written(
    write: Callable[[Seal], Awaitable[SessionResult[State, T]]], session_id: SessionId
) -> SessionResult[State, T]:
    """Writes an object as it is. If the state is refused, writes it as text, which keeps every JSON value.

    Storages refuse states with NUL characters, lone surrogates or integers beyond 64 bits.

    Args:
        write: Writes a state. It calls the given function with the object, and stores the result.
        session_id: The session that errors name.
    """
    result = await write(lambda state: state)
    if isinstance(result.error, InvalidStateError) and not isinstance(result.error, StateTooLargeError):
        return await write(lambda state: {_TEXT: _TEXTS.encode(state, 0, session_id)})
    return result


def changed(change: Callable[[State], State], seal: Seal) -> Callable[[State], ReplaceState[State]]:
    """Returns a function for update_session() that applies a change to the stored object."""
    return lambda state: ReplaceState(seal(change(opened(state))))


async def listed(manager: SessionManager[State, Any], prefix: str) -> AsyncIterator[tuple[SessionInfo[State], State]]:
    """Lists the live sessions whose ids begin with a prefix, with their objects, in statements of 1,000 each.

    Raises:
        CorruptStateError: A state is no JSON object.
    """
    async for page in pages(partial(manager.list_sessions, prefix=prefix, limit=_AT_ONCE, states=True)):
        for info in page.sessions:
            if info.error is not None:
                raise info.error
            assert info.state is not None
            yield info, opened(info.state)


def without(state: Mapping[str, Any], name: str) -> State:
    """Returns a copy of the object without one member."""
    return {key: value for key, value in state.items() if key != name}
