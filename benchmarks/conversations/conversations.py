"""What one who keeps conversations does: a log of messages, and a small state beside it."""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import orjson

from ..contestant import POOL_SIZE, Contestant
from ..driving import Call, Turn, drive_for
from ..states import State, make_state

WINDOW: Final = 50
"""How many of the newest messages a turn reads."""

MESSAGE_BYTES: Final = 1024

_TEXTS: Final = [
    "".join(random.Random(number).choices("etaoin shrdlu cmfwyp vbgkjq", k=MESSAGE_BYTES - 32))  # noqa: S311
    for number in range(64)
]


def message() -> dict[str, Any]:
    """A message of 1 KB as JSON. Different ones, so that compression has to work."""
    return {"role": "user", "content": _TEXTS[random.randrange(len(_TEXTS))]}  # noqa: S311


def text_of(new: dict[str, Any]) -> str:
    """The message as JSON text."""
    return orjson.dumps(new).decode()


def small_state(session: str) -> State:
    """The state beside the log: two fields that each turn changes."""
    state = make_state(session)
    return {"n": state["n"], "step": state["step"]}


class Conversations(Contestant):
    """Keeps conversations. A contestant that keeps messages beside a state does these jobs as well."""

    @abstractmethod
    async def begin(self, sessions: Sequence[str]) -> None:
        """Creates conversations without messages."""

    @abstractmethod
    async def grow(self, session: str, count: int) -> None:
        """Adds many messages to a conversation, as fast as can be."""

    @abstractmethod
    async def append(self, session: str) -> None:
        """Appends one message."""

    @abstractmethod
    async def converse(self, session: str) -> None:
        """Takes a turn: reads the state and the newest WINDOW messages, and writes the state and two messages."""

    @abstractmethod
    async def length(self, session: str) -> int:
        """Counts the messages of a conversation."""

    async def fill(self, sessions: Sequence[str], count: int) -> None:
        """Creates conversations of so many messages."""
        await self.begin(sessions)
        for at in range(0, len(sessions), POOL_SIZE):
            await asyncio.gather(*(self.grow(session, count) for session in sessions[at : at + POOL_SIZE]))

    async def lengths(self, sessions: Sequence[str]) -> int:
        """Counts the messages of all conversations."""
        return sum([await self.length(session) for session in sessions])

    async def talk(
        self, call: Call, messages: int, sessions: Sequence[str], *, callers: int, seconds: float, warm_up: float
    ) -> Turn:
        """Lets callers append or converse on random sessions, and compares the messages with what they were told.

        Args:
            call: What they do.
            messages: How many messages each call adds.
            sessions: The sessions.
            callers: How many callers.
            seconds: For how long.
            warm_up: For how long before, so that connections are made and statements prepared.
        """
        await drive_for(warm_up, call, sessions, max(callers, POOL_SIZE))
        before = await self.lengths(sessions)
        turn = await drive_for(seconds, call, sessions, callers)
        turn.lost = turn.operations - (await self.lengths(sessions) - before) // messages
        return turn


def newest(messages: Sequence[Any]) -> Sequence[Any]:
    """The messages that a turn reads."""
    return messages[-WINDOW:]
