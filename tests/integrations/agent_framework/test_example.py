"""The history provider of docs/frameworks/examples.md."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agent_framework import Agent, Content, Message

from sessionstore import MemoryStorageProvider, StorageError, StorageProvider, open_storage
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.support.documents import TTL
from tests.integrations.pages import fresh_directory, names_of, python_blocks, run

__all__ = ["fresh_directory"]

_BLOCK = next(block for block in python_blocks("examples.md") if "agent_framework" in block.code)
_EXAMPLE = names_of(_BLOCK)


def _history(storage: StorageProvider, **options: Any) -> Any:
    return _EXAMPLE["StoredHistory"](storage, **{"ttl": TTL, **options})


def _messages() -> list[Message]:
    """Messages of every kind that an agent keeps."""
    return [
        Message("user", ["What is the weather in Oslo? \0 \ud800 \u2028"]),
        Message(
            "assistant", [Content.from_function_call("call-1", "weather", arguments={"city": "Oslo", "n": 10**30})]
        ),
        Message("tool", [Content.from_function_result("call-1", result={"degrees": -0.5})]),
        Message("assistant", [Content.from_data(b"\0\xff", "image/png"), "Cold."], message_id="m1", author_name="a"),
        Message("user", ["Thanks"], additional_properties={"nested": [{"b": 1, "a": None}]}),
    ]


def _dicts(messages: list[Message]) -> list[dict[str, Any]]:
    return [message.to_dict() for message in messages]


def test_the_program_runs(fresh_directory: Path) -> None:
    assert run(_BLOCK)


async def test_messages_come_back_as_they_were_saved(storage: StorageProvider) -> None:
    history = _history(storage)
    for session in ("c1", "c/1", "~", "\0", "a" * 300):
        assert await history.get_messages(session) == []
        await history.save_messages(session, _messages()[:2])
        await history.save_messages(session, _messages()[2:])
        assert _dicts(await history.get_messages(session)) == _dicts(_messages())
    newest = _history(storage, last=2)
    assert _dicts(await newest.get_messages("c1")) == _dicts(_messages()[-2:])


async def test_an_agent_goes_on_where_another_process_stopped(storage: StorageProvider) -> None:
    for number in range(3):
        agent = Agent(_EXAMPLE["Parrot"](), context_providers=[_history(storage)])
        answer = await agent.run(f"m{number}", session=agent.create_session(session_id="c1"))
        assert answer.text == f"{2 * number + 1}: m{number}"
    kept = await _history(storage).get_messages("c1")
    assert [message.text for message in kept] == ["m0", "1: m0", "m1", "3: m1", "m2", "5: m2"]


async def test_a_message_with_an_id_is_saved_once_and_one_without_an_id_each_time(storage: StorageProvider) -> None:
    history = _history(storage)
    for _ in range(2):
        await history.save_messages("c1", [Message("user", ["a"], message_id="m1"), Message("user", ["b"])])
    assert [message.text for message in await history.get_messages("c1")] == ["a", "b", "b"]


async def test_a_run_without_a_session_keeps_nothing(storage: StorageProvider) -> None:
    history = _history(storage)
    await history.save_messages(None, _messages())
    await history.save_messages("c1", [])
    assert await history.get_messages(None) == await history.get_messages("c1") == []


async def test_runs_of_several_processes_lose_nothing(shared_url: str) -> None:
    async with open_storage(shared_url) as one, open_storage(shared_url) as another:
        runs = [
            _history(storage).save_messages("c1", [Message("user", [f"{number}"]), Message("assistant", [f"{number}"])])
            for number, storage in enumerate([one, another] * 10)
        ]
        await asyncio.gather(*runs)
        kept = [message.text for message in await _history(one).get_messages("c1")]
    assert sorted(kept[::2]) == sorted(map(str, range(20)))
    assert kept[::2] == kept[1::2]


async def test_a_conversation_expires_and_an_outage_is_no_empty_history(
    storage: StorageProvider, clock: ManualClock
) -> None:
    history = _history(storage)
    await history.save_messages("c1", _messages())
    clock.advance(TTL * 0.9)
    assert len(await history.get_messages("c1")) == 5
    clock.advance(TTL * 1.2)
    assert await history.get_messages("c1") == []


async def test_an_outage_is_no_empty_history() -> None:
    storage = MemoryStorageProvider()
    history = _history(storage)
    await history.save_messages("c1", _messages())
    await storage.close()
    with pytest.raises(StorageError):
        await history.get_messages("c1")
    with pytest.raises(StorageError):
        await history.save_messages("c1", _messages())
