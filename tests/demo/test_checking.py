"""The check is worth something: whatever is lost or changed on purpose, it finds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from sessionstore import MemoryStorageProvider, StorageProvider
from sessionstore.demo import ChatService, Comparison, Dialogue
from sessionstore.demo.checking import check
from sessionstore.storage import Edit, Key, NewItem, Window, Write


@dataclass
class Played:
    """A conversation that was replayed, and can be tampered with."""

    dialogue: Dialogue
    service: ChatService
    storage: StorageProvider

    def key(self, of: int) -> Key:
        return Key(self.service.namespaces[of], self.dialogue.dialogue_id)

    async def tamper(self, of: int, change: Callable[[Any], object]) -> None:
        document = await self.storage.get(self.key(of))
        assert document is not None
        state = json.loads(document.state)
        change(state)
        assert await self.storage.update(Write(document.summary, json.dumps(state))) is not None

    async def tamper_with_turns(self, change: Callable[[list[Any]], object]) -> None:
        document = await self.storage.get(self.key(CHAT), window=Window(limit=1000))
        assert document is not None
        turns = [json.loads(item.text) for item in document.items]
        change(turns)
        edited = await self.storage.edit(
            Edit(self.key(CHAT), after=0, items=[NewItem(json.dumps(turn)) for turn in turns])
        )
        assert edited is not None
        assert edited.done

    async def check(self) -> Comparison:
        return await check(self.service, self.dialogue)


CHAT, ORCHESTRATION = 0, 1


@pytest.fixture
async def played(dialogues: Sequence[Dialogue]) -> AsyncIterator[Played]:
    async with MemoryStorageProvider() as storage:
        service = ChatService(storage)
        dialogue = max(dialogues, key=lambda dialogue: len({tool for turn in dialogue.turns for tool in turn.tools}))
        await service.begin(dialogue.dialogue_id)
        for turn in dialogue.turns:
            await service.take(dialogue.dialogue_id, turn)
        yield Played(dialogue, service, storage)


async def test_a_session_that_equals_its_transcript_has_no_fault(played: Played) -> None:
    assert await played.check() == Comparison(played.dialogue.dialogue_id, 0, ())


@pytest.mark.parametrize(
    ("of", "change", "lost", "fault"),
    [
        (CHAT, lambda chat: chat["wanted"].popitem(), 0, "stored wish"),
        (CHAT, lambda chat: chat["wanted"].update(Other=None), 0, "wish for service 'Other'"),
        (CHAT, lambda chat: next(iter(chat["wanted"].values())).update(active_intent="x"), 0, "stored wish"),
        (CHAT, lambda chat: chat.update(tokens=chat["tokens"] + 1), 0, "tokens are counted"),
        (CHAT, lambda chat: chat.update(tokens="many"), None, "no readable chat"),
        (ORCHESTRATION, lambda state: state.update(sequence_index=state["sequence_index"] - 2), 2, "sequence"),
        (ORCHESTRATION, lambda state: state.update(sequence_index=state["sequence_index"] + 2), 0, "sequence"),
        (ORCHESTRATION, lambda state: state["recently_used_tools"].reverse(), 0, "tools"),
        (ORCHESTRATION, lambda state: state["recently_used_tools"].pop(), 0, "tools"),
        (ORCHESTRATION, lambda state: state["cumulative_token_usage"].update(prompt_tokens=1), 0, "usage"),
        (ORCHESTRATION, lambda state: state["cumulative_token_usage"].update(completion_tokens=1), 0, "usage"),
        (ORCHESTRATION, lambda state: state["cumulative_token_usage"].update(total_tokens=1), 0, "usage"),
    ],
)
async def test_a_changed_session_is_found(
    played: Played, of: int, change: Callable[[Any], object], lost: int | None, fault: str
) -> None:
    await played.tamper(of, change)
    comparison = await played.check()
    (found,) = comparison.faults
    assert fault in found
    assert comparison.lost == (len(played.dialogue.turns) if lost is None else lost)


@pytest.mark.parametrize(
    ("change", "lost", "fault"),
    [
        (lambda turns: turns.pop(3), 1, "1 of"),
        (lambda turns: turns.clear(), None, "turns are missing"),
        (lambda turns: turns.reverse(), 0, "transcript in order"),
        (lambda turns: turns.append(turns[0]), 0, "are not the"),
        (lambda turns: turns.insert(0, turns[0]), 0, "are not the"),
        (lambda turns: turns[2].update(utterance="something else"), 1, "1 of"),
        (lambda turns: turns[2].update(speaker="SYSTEM"), 1, "1 of"),
        (lambda turns: turns[2].clear(), None, "no readable chat"),
    ],
)
async def test_a_changed_turn_is_found(
    played: Played, change: Callable[[list[Any]], object], lost: int | None, fault: str
) -> None:
    await played.tamper_with_turns(change)
    comparison = await played.check()
    (found,) = comparison.faults
    assert fault in found
    assert comparison.lost == (len(played.dialogue.turns) if lost is None else lost)


@pytest.mark.parametrize("of", [CHAT, ORCHESTRATION])
async def test_a_deleted_session_counts_as_lost_updates(played: Played, of: int) -> None:
    assert await played.storage.delete(played.key(of))
    comparison = await played.check()
    assert comparison.lost == len(played.dialogue.turns)
    assert comparison.faults[0].startswith("there is no ")


async def test_no_fault_quotes_the_conversation(played: Played) -> None:
    await played.tamper_with_turns(lambda turns: turns.clear())
    faults = " ".join((await played.check()).faults)
    assert not any(turn.utterance in faults for turn in played.dialogue.turns)
