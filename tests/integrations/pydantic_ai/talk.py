"""What the tests say: conversations, and an agent whose model answers at once."""

from __future__ import annotations

from typing import Any

from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

ID = "c1"


def question(text: str) -> ModelRequest:
    return ModelRequest(parts=[UserPromptPart(content=text)])


def questions(count: int, name: str = "q") -> list[ModelMessage]:
    return [question(f"{name}{number}") for number in range(count)]


def conversation(*said: ModelMessage, conversation_id: str = ID) -> Conversation:
    return Conversation(conversation_id=conversation_id, messages=[*said])


def asked(messages: list[ModelMessage]) -> list[Any]:
    """What the user said."""
    return [part.content for message in messages for part in message.parts if isinstance(part, UserPromptPart)]


def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Pays for what is asked, once that is approved; the answer says how much there was to read."""
    last = messages[-1].parts[-1]
    if isinstance(last, UserPromptPart) and last.content == "pay":
        return ModelResponse(parts=[ToolCallPart("pay", {"amount": 7}, tool_call_id="payment")])
    paid = last.content if isinstance(last, ToolReturnPart) else "nothing"
    return ModelResponse(parts=[TextPart(f"read {len(messages)} messages, paid {paid}")])


agent = Agent(FunctionModel(answer), output_type=[str, DeferredToolRequests])


@agent.tool_plain(requires_approval=True)
def pay(amount: int) -> str:
    return f"{amount} EUR"
