"""FirstStates: the first states of new sessions, if a state cannot be made from the session id."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

from ..ids import SessionId

S = TypeVar("S")


class FirstStates(Generic[S]):
    """The ``default_state`` of a manager. Returns the state that was noted for the id.

    The ids have to be random, so that no other call creates a session of the same id at the same time.
    """

    def __init__(self) -> None:
        self._states: dict[SessionId, S] = {}

    def __call__(self, session_id: SessionId) -> S:
        return self._states[session_id]

    @contextmanager
    def noted(self, session_id: SessionId, state: S) -> Generator[None]:
        """Notes the state of the session that is created in the block."""
        self._states[session_id] = state
        try:
            yield
        finally:
            del self._states[session_id]
