"""The state that every contestant keeps: 2 KB of conversation, with a counter by which lost updates are found."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, overload

import orjson

State: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[State], State]

STATE_BYTES: Final = 2048
MESSAGES: Final = 8

_STEPS: Final = ("listen", "search", "reason", "answer")
_WORDS: Final = [
    "the",
    "order",
    "was",
    "sent",
    "on",
    "monday",
    "and",
    "should",
    "have",
    "come",
    "by",
    "now",
    "could",
    "you",
    "look",
    "up",
    "where",
    "it",
    "is",
    "please",
    "yes",
    "of",
    "course",
    "one",
    "moment",
    "it",
    "left",
    "our",
    "house",
    "in",
    "rotterdam",
    "on",
    "tuesday",
    "evening",
    "its",
    "number",
    "is",
    "attached",
    "to",
    "this",
    "message",
    "customs",
    "asked",
    "for",
    "an",
    "invoice",
    "which",
    "we",
    "have",
    "since",
    "sent",
    "them",
    "so",
    "that",
    "it",
    "will",
    "be",
    "with",
    "you",
    "before",
    "friday",
    "noon",
    "thank",
    "you",
    "that",
    "is",
    "quick",
]

# Digits only, and all of one length, because pgbench can draw numbers and cannot build strings.
_FIRST_ID: Final = 10**15


class SessionIds(Sequence[str]):
    """The ids of a number of sessions, without a list of ten million strings."""

    def __init__(self, count: int) -> None:
        self.first = _FIRST_ID
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        numbers = range(self.first, self.first + self._count)[index]
        return str(numbers) if isinstance(numbers, int) else [str(number) for number in numbers]


def make_state(session: str) -> State:
    """The state of a new session: the same for the same session, and STATE_BYTES long as compact JSON."""
    chance = random.Random(session)  # noqa: S311  # the same at every run, which is what random data is not
    messages = [{"role": ("user", "assistant")[i % 2], "content": ""} for i in range(MESSAGES)]
    state: State = {"n": 0, "step": _STEPS[0], "messages": messages}
    room, rest = divmod(STATE_BYTES - len(orjson.dumps(state)), MESSAGES)
    for i, message in enumerate(messages):
        length = room + (rest if i == 0 else 0)
        message["content"] = " ".join(chance.choices(_WORDS, k=length))[:length]
    return state


def change(state: State) -> State:
    """What a turn does to a state: two fields become others."""
    state["n"] += 1
    state["step"] = _STEPS[state["n"] % len(_STEPS)]
    return state
