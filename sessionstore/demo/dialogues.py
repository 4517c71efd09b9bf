"""Reads recorded conversations in the format of the Schema-Guided Dialogue dataset, one JSON object a line."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

from pydantic import BaseModel, JsonValue, ValidationError

from ..codec.jsontext import jsonpath
from ..errors import ConfigurationError
from ..ids import fault_of


class ServiceCall(BaseModel):
    """A call of a tool during a turn."""

    method: str


class Frame(BaseModel):
    """The meaning of a turn for one service.

    Attributes:
        service: The name of the service.
        state: What the user has asked of the service so far; None: the turn says nothing about it.
        service_call: The tool that was called; None: no tool was called.
    """

    service: str
    state: JsonValue = None
    service_call: ServiceCall | None = None


class Turn(BaseModel):
    """One utterance of a conversation."""

    speaker: Literal["USER", "SYSTEM"]
    utterance: str
    frames: list[Frame]

    @property
    def states(self) -> dict[str, JsonValue]:
        """The new state of each service whose state this turn sets."""
        if self.speaker != "USER":
            return {}
        return {frame.service: frame.state for frame in self.frames if frame.state is not None}

    @property
    def tools(self) -> list[str]:
        """The tools that were called for this turn, in order."""
        return [frame.service_call.method for frame in self.frames if frame.service_call is not None]

    @property
    def tokens(self) -> int:
        """The number of words, which stands for a model's count of tokens."""
        return len(self.utterance.split())


class Dialogue(BaseModel):
    """A conversation, all of its turns in order."""

    dialogue_id: str
    turns: list[Turn]


def shipped() -> Traversable:
    """The conversations that come with the package."""
    return files("sessionstore.demo") / "conversations.jsonl"


def load(source: Traversable) -> Sequence[Dialogue]:
    """Reads a file of conversations. The source may be a ``pathlib.Path``.

    Raises:
        ConfigurationError: A line is no conversation, two lines have the same id, or the file holds no conversation.
    """
    dialogues: dict[str, Dialogue] = {}
    for number, line in enumerate(source.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        place = f"line {number} of {source.name}"
        try:
            dialogue = Dialogue.model_validate_json(line)
        except ValidationError as error:
            # The message does not quote the line, which may hold private words.
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise ConfigurationError(f"{place} is no conversation: {jsonpath(first['loc'])}: {first['msg']}") from None
        if fault := fault_of(dialogue.dialogue_id):
            raise ConfigurationError(f"{place} has a dialogue_id that cannot be a session id: it {fault}")
        if dialogue.dialogue_id in dialogues:
            raise ConfigurationError(f"{place} repeats the dialogue_id {dialogue.dialogue_id!a}; use each id once")
        dialogues[dialogue.dialogue_id] = dialogue
    if not dialogues:
        raise ConfigurationError(f"{source.name} holds no conversation")
    return list(dialogues.values())
