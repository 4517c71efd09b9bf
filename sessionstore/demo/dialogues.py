"""Recorded conversations, in the format of the Schema-Guided Dialogue dataset: one JSON object a line."""

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
    """A call of a tool that a turn came with."""

    method: str


class Frame(BaseModel):
    """What a turn means to one service.

    Attributes:
        state: What the user wants by now; only in turns of the user.
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
        """The state of each service that this turn sets."""
        if self.speaker != "USER":
            return {}
        return {frame.service: frame.state for frame in self.frames if frame.state is not None}

    @property
    def tools(self) -> list[str]:
        """The tools that were called for this turn, in order."""
        return [frame.service_call.method for frame in self.frames if frame.service_call is not None]

    @property
    def tokens(self) -> int:
        """A stand-in for a model's tokens: the words between white space."""
        return len(self.utterance.split())


class Dialogue(BaseModel):
    """A conversation, all of its turns in order."""

    dialogue_id: str
    turns: list[Turn]


def shipped() -> Traversable:
    """The conversations that come with the package."""
    return files("sessionstore.demo") / "conversations.jsonl"


def load(source: Traversable) -> Sequence[Dialogue]:
    """Reads a file of conversations; a ``pathlib.Path`` will do.

    Raises:
        ConfigurationError: A line is no conversation, or repeats the id of another one; or there is none at all.
    """
    dialogues: dict[str, Dialogue] = {}
    for number, line in enumerate(source.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        place = f"line {number} of {source.name}"
        try:
            dialogue = Dialogue.model_validate_json(line)
        except ValidationError as error:
            # Without what was found there: it may be anything, and somebody's words.
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise ConfigurationError(f"{place} is no conversation: {jsonpath(first['loc'])}: {first['msg']}") from None
        if fault := fault_of(dialogue.dialogue_id):
            raise ConfigurationError(f"{place} has a dialogue_id that cannot be a session id: it {fault}")
        if dialogue.dialogue_id in dialogues:
            raise ConfigurationError(f"{place} repeats the dialogue_id {dialogue.dialogue_id!a}")
        dialogues[dialogue.dialogue_id] = dialogue
    if not dialogues:
        raise ConfigurationError(f"{source.name} holds no conversation")
    return list(dialogues.values())
