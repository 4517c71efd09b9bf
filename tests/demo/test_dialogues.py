from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sessionstore import ConfigurationError
from sessionstore.demo import Dialogue, load

STATE = {"active_intent": "Find", "requested_slots": [], "slot_values": {"time": ["noon"]}}


def conversation(**members: Any) -> dict[str, Any]:
    frames = [{"service": "S", "state": STATE, "actions": ["INFORM"]}, {"service": "T"}]
    turns = [
        {"speaker": "USER", "utterance": "Hello  there, you", "frames": frames},
        {
            "speaker": "SYSTEM",
            "utterance": "Hi",
            "frames": [{"service": "S", "state": STATE, "service_call": {"method": "Find", "parameters": {}}}],
        },
    ]
    return {"dialogue_id": "d", "services": ["S"], "turns": turns} | members


def written(path: Path, *lines: object) -> Path:
    file = path / "some.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return file


def test_a_turn_knows_what_it_sets_and_calls(tmp_path: Path) -> None:
    (dialogue,) = load(written(tmp_path, "", conversation(), "  "))
    user, system = dialogue.turns
    assert (user.states, user.tools, user.tokens) == ({"S": STATE}, [], 3)
    assert (system.states, system.tools, system.tokens) == ({}, ["Find"], 1)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "EOF"),
        ("no json", "Invalid JSON"),
        ("[]", r"\$: Input should be an object"),
        ({"turns": []}, r"\$\.dialogue_id: Field required"),
        ({"dialogue_id": "x"}, r"\$\.turns: Field required"),
        (conversation(dialogue_id=1), r"\$\.dialogue_id"),
        (conversation(turns=[{"speaker": "USER", "utterance": "a"}]), r"\$\.turns\[0\]\.frames: Field required"),
        (conversation(turns=[{"speaker": "DOG", "utterance": "a", "frames": []}]), r"\$\.turns\[0\]\.speaker"),
        (conversation(dialogue_id=""), "must not be empty"),
        (conversation(dialogue_id="a\nb"), "control characters"),
        (conversation(), "repeats the dialogue_id 'd'"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: object, complaint: str) -> None:
    file = written(tmp_path, conversation(), "", line)
    with pytest.raises(ConfigurationError, match=rf"^line 3 of some\.jsonl.*{complaint}"):
        load(file)


def test_the_error_of_a_malformed_line_does_not_quote_it(tmp_path: Path) -> None:
    file = written(tmp_path, conversation(turns=[{"speaker": "a secret", "utterance": 1, "frames": "a secret"}]))
    with pytest.raises(ConfigurationError) as raised:
        load(file)
    assert "secret" not in str(raised.value)


def test_a_file_without_conversations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"some\.jsonl holds no conversation"):
        load(written(tmp_path, "", " "))


def test_the_shipped_conversations_contain_every_kind_of_turn(dialogues: Sequence[Dialogue]) -> None:
    turns = [turn for dialogue in dialogues for turn in dialogue.turns]
    assert len(dialogues) >= 20
    assert max(len(turn.states) for turn in turns) > 1
    assert max(len(turn.tools) for turn in turns) > 1
    assert any(not turn.utterance.isascii() for turn in turns)
