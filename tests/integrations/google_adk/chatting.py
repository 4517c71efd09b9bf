"""An agent of ADK with a scripted model. As a process, it takes one turn: ``... chatting URL TEXT``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.sessions import BaseSessionService
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from sessionstore import open_storage
from sessionstore.integrations.google_adk import StoredSessionService

from .events import APP, USER


class ScriptedModel(BaseLlm):
    """Calls the tool `note` for each message of the user, and then answers with what it was shown."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        parts = [part for content in llm_request.contents for part in content.parts or ()]
        said = [part.text for part in parts if part.text]
        if parts[-1].function_response is None:
            answer = types.Part.from_function_call(name="note", args={"text": said[-1]})
        else:
            answer = types.Part(text=f"seen: {', '.join(said)}")
        yield LlmResponse(content=types.Content(role="model", parts=[answer]))


def note(text: str, tool_context: ToolContext) -> dict[str, Any]:
    """Notes a text."""
    for scope in ("", "app:", "user:", "temp:"):
        tool_context.state[f"{scope}notes"] = [*tool_context.state.get(f"{scope}notes", []), text]
    return {"noted": tool_context.state["notes"]}


async def turn(service: BaseSessionService, text: str) -> str:
    """Takes one turn; the agent's answer."""
    agent = LlmAgent(name="agent", model=ScriptedModel(model="scripted"), tools=[note], output_key="answer")
    runner = Runner(app_name=APP, agent=agent, session_service=service, auto_create_session=True)
    message = types.Content(role="user", parts=[types.Part(text=text)])
    events = [it async for it in runner.run_async(user_id=USER, session_id="s", new_message=message)]
    content = events[-1].content
    assert content is not None
    assert content.parts
    return content.parts[0].text or ""


async def main(url: str, text: str) -> None:
    async with open_storage(url) as storage:
        sys.stdout.write(await turn(StoredSessionService(storage), text))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
