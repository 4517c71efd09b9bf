"""Runs of agents on `StoredSession`, also of one whose process is killed."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any, cast

import pytest
from agents import Agent, RunConfig, Runner
from agents.memory import SessionSettings
from agents.testing import ScriptedModel, assistant_message

from sessionstore import StorageUnavailableError, open_storage
from sessionstore.integrations.openai_agents import StoredSession
from tests.support.processes import ROOT, python

from .conftest import Chat, contents, said

GUIDE = ("-m", "tests.integrations.openai_agents.guide")


def shown(items: list[Any]) -> list[Any]:
    """What each item is: who said it, or which call it belongs to."""
    return [item.get("call_id", item.get("role")) for item in items]


async def test_a_run_that_is_killed_between_tool_calls_is_resumed_in_another_process(shared_url: str) -> None:
    begun = await asyncio.create_subprocess_exec(
        sys.executable, *GUIDE, shared_url, "trip", "begin", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert begun.stdout is not None
    assert [await begun.stdout.readline() for _ in range(2)] == [b"booking flight\n", b"booking hotel\n"]
    begun.send_signal(signal.SIGKILL)
    assert await begun.wait() == -signal.SIGKILL

    resumed = await python(*GUIDE, shared_url, "trip", "go_on")
    assert resumed.status == 0, resumed.output
    assert resumed.output.splitlines() == [
        "model saw ['begin', 'call-1', 'call-1', 'go_on']",
        "The flight is booked.",
    ]
    async with open_storage(shared_url) as storage:
        stored = await StoredSession("trip", storage).get_items()
    assert shown(stored) == ["user", "call-1", "call-1", "user", "call-3", "call-3", "assistant"]
    assert cast(dict[str, Any], stored[2])["output"] == "booked flight"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_run_reads_the_items_of_earlier_runs(chat: Chat, streamed: bool) -> None:
    model = ScriptedModel([[assistant_message(f"answer {number}")] for number in range(3)])
    agent = Agent(name="test", model=model)
    for number in range(3):
        if streamed:
            result = Runner.run_streamed(agent, f"question {number}", session=chat())
            async for _ in result.stream_events():
                pass
        else:
            await Runner.run(agent, f"question {number}", session=chat())
    assert [len(call.input) for call in model.calls] == [1, 3, 5]
    assert shown(await chat().get_items()) == ["user", "assistant"] * 3


async def test_a_run_may_limit_and_choose_the_items_it_reads(chat: Chat) -> None:
    await chat().add_items(said("a", "b", "c"))
    model = ScriptedModel([[assistant_message("yes")], [assistant_message("no")]])
    agent = Agent(name="test", model=model)
    config = RunConfig(
        session_settings=SessionSettings(limit=2),
        session_input_callback=lambda history, new: [item for item in history if item not in said("c")] + new,
    )
    await Runner.run(agent, "d", session=chat(), run_config=config)
    assert contents(cast(Any, model.calls[0].input)) == ["b", "d"]
    assert shown(await chat().get_items()) == ["user", "user", "user", "user", "assistant"]


def test_runs_without_asyncio_share_a_session(shared_url: str) -> None:
    storage = open_storage(shared_url)
    model = ScriptedModel([[assistant_message("1")], [assistant_message("2")]])
    agent = Agent(name="test", model=model)
    for text in "ab":
        Runner.run_sync(agent, text, session=StoredSession("chat", storage))
    assert [len(call.input) for call in model.calls] == [1, 3]
    asyncio.run(storage.close())


async def test_a_run_on_a_storage_that_is_down_asks_no_model() -> None:
    model = ScriptedModel([[assistant_message("never")]])
    async with open_storage("postgresql+psycopg://nobody@127.0.0.1:1/none") as storage:
        with pytest.raises(StorageUnavailableError):
            await Runner.run(Agent(name="test", model=model), "a", session=StoredSession("chat", storage))
    assert model.calls == ()
