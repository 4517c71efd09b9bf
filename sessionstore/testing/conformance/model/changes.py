"""Functions for updates: each appends to the state, raises, or makes a state that is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from hypothesis import strategies as st

from ...support.documents import Chat
from .history import Seen

Change: TypeAlias = Callable[[Chat, int], Chat]
"""Makes the new state from a state and a token."""

POISON: Final = "poison"
"""A storage under test may refuse states that contain this text."""


class Told(Exception):
    """Raised by the function of an update, with the state that the function was given."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen)
        self.seen = seen


def append(state: Chat, token: int) -> Chat:
    state["log"].append(token)
    return state


def _append_or_raise(state: Chat, token: int, *, rest: int) -> Chat:
    if len(state["log"]) % 2 == rest:
        seen = Seen.of(state, None)
        state["log"].append(token)  # no state may keep this
        raise Told(seen)
    return append(state, token)


def _spoil(state: Chat, token: int) -> Chat:
    return {**append(state, token), "spoilt": float("nan")}


def poison(state: Chat, token: int) -> Chat:
    return {**append(state, token), "spoilt": POISON}


_RAISING = (partial(_append_or_raise, rest=0), partial(_append_or_raise, rest=1))
CHANGES = st.sampled_from([append, append, *_RAISING, *_RAISING, _spoil, poison])
