"""Compares the stored sessions of a conversation with its transcript."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from ..orchestration import MAX_RECENT_TOOLS, OrchestrationState
from .dialogues import Dialogue
from .service import Chat, ChatService, Line


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the stored sessions of a conversation compare with its transcript.

    Attributes:
        dialogue_id: The conversation.
        lost: The number of lost updates: missing turns, and missing advances of the sequence.
        faults: A sentence for each difference. It quotes no text of the conversation.
    """

    dialogue_id: str
    lost: int
    faults: tuple[str, ...]


async def check(service: ChatService, dialogue: Dialogue) -> Comparison:
    """Reads the sessions of a conversation and compares them with its transcript."""
    # Reads one item more than there should be, so that a turn too many is noticed.
    most = len(dialogue.turns) + 1
    chat = await service.chats.get_session(dialogue.dialogue_id, last_items=most, touch=False)
    orchestration = await service.sequencer.get_state(dialogue.dialogue_id)
    return compare(dialogue, chat.data, [item.data for item in chat.items], orchestration)


def compare(
    dialogue: Dialogue, chat: Chat | None, lines: Sequence[Line], orchestration: OrchestrationState | None
) -> Comparison:
    """Compares stored states (None: there is no state) and turns with the transcript."""
    spoken = [(turn.speaker, turn.utterance) for turn in dialogue.turns]
    stored = [(line.speaker, line.utterance) for line in lines]
    turns_lost = (Counter[tuple[str, str]](spoken) - Counter(stored)).total()
    advances = 0 if orchestration is None else orchestration.sequence_index
    if chat is None:
        faults = ["there is no readable chat"]
    else:
        faults = [*_turn_faults(spoken, stored, turns_lost), *_chat_faults(dialogue, chat)]
    faults += _orchestration_faults(dialogue, orchestration)
    return Comparison(dialogue.dialogue_id, turns_lost + max(0, len(spoken) - advances), tuple(faults))


def _turn_faults(
    spoken: Sequence[tuple[str, str]], stored: Sequence[tuple[str, str]], turns_lost: int
) -> Iterator[str]:
    if turns_lost:
        yield f"{turns_lost} of {len(spoken)} turns are missing"
    elif stored != spoken:
        yield f"the {len(stored)} turns stored are not the {len(spoken)} turns of the transcript in order"


def _chat_faults(dialogue: Dialogue, chat: Chat) -> Iterator[str]:
    wanted = _wanted_at_the_end(dialogue)
    for service in sorted(wanted.keys() | chat.wanted.keys()):
        if service not in chat.wanted or service not in wanted or chat.wanted[service] != wanted[service]:
            yield f"the stored wish for service {service!a} is not the last one of the user"
    if chat.tokens != (tokens := _tokens(dialogue, "USER") + _tokens(dialogue, "SYSTEM")):
        yield f"{chat.tokens} tokens are counted instead of {tokens}"


def _orchestration_faults(dialogue: Dialogue, orchestration: OrchestrationState | None) -> Iterator[str]:
    if orchestration is None:
        yield "there is no orchestration state"
        return
    if orchestration.sequence_index != len(dialogue.turns):
        yield f"the sequence is at {orchestration.sequence_index} instead of {len(dialogue.turns)}"
    if orchestration.recently_used_tools != _recent_tools(dialogue):
        yield "the recently used tools are not the tools that were called last"
    usage = orchestration.cumulative_token_usage
    spent = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    prompt, completion = _tokens(dialogue, "USER"), _tokens(dialogue, "SYSTEM")
    if spent != (prompt, completion, prompt + completion):
        yield f"the token usage is {spent} instead of {(prompt, completion, prompt + completion)}"


def _wanted_at_the_end(dialogue: Dialogue) -> dict[str, JsonValue]:
    # Computed from the end of the transcript. The service begins at the start, so both cannot have the same fault.
    wanted: dict[str, JsonValue] = {}
    for turn in reversed(dialogue.turns):
        wanted = turn.states | wanted
    return wanted


def _recent_tools(dialogue: Dialogue) -> list[str]:
    calls = [tool for turn in dialogue.turns for tool in turn.tools]
    return list(dict.fromkeys(reversed(calls)))[:MAX_RECENT_TOOLS]


def _tokens(dialogue: Dialogue, speaker: str) -> int:
    return sum(turn.tokens for turn in dialogue.turns if turn.speaker == speaker)
