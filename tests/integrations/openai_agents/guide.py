"""A process that runs an agent, and may be killed between two tool calls: `python -m ... URL NAME begin|go_on`."""

from __future__ import annotations

import asyncio
import os
import sys
import time

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"

from agents import Agent, Runner, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call

from sessionstore import open_storage
from sessionstore.integrations.openai_agents import StoredSession


def said(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # read by the test


@function_tool
def book(place: str) -> str:
    """Books a place; the second one takes for ever."""
    said(f"booking {place}")
    if place == "hotel":
        time.sleep(3600)
    return f"booked {place}"


@function_tool
def look() -> str:
    """Looks up what was booked."""
    return "a flight"


async def main(url: str, name: str, part: str) -> None:
    steps = {
        "begin": [
            [function_call("book", {"place": "flight"}, call_id="call-1")],
            [function_call("book", {"place": "hotel"}, call_id="call-2")],
        ],
        "go_on": [
            [function_call("look", {}, call_id="call-3")],
            [assistant_message("The flight is booked.")],
        ],
    }
    model = ScriptedModel(steps[part])
    agent = Agent(name="guide", model=model, tools=[book, look])
    async with open_storage(url) as storage:
        result = await Runner.run(agent, part, session=StoredSession(name, storage))
        first = model.calls[0].input
        said(f"model saw {[item.get('content') or item.get('call_id') for item in first if isinstance(item, dict)]}")
        said(result.final_output)


asyncio.run(main(*sys.argv[1:]))
