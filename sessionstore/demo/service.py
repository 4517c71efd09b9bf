"""ChatService: stores each turn of a conversation, as an agent service does."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel, Field, JsonValue

from ..manager import SessionManager
from ..orchestration import OrchestrationStateManager
from ..session import SessionState
from ..storage import StorageProvider
from .dialogues import Turn

TTL: Final = timedelta(minutes=30)


class Line(BaseModel):
    """A turn as the session keeps it: an item."""

    speaker: str
    utterance: str


class Chat(SessionState):
    """The state of a conversation. Its turns are the items of the session.

    Attributes:
        wanted: What the user has asked of each service so far.
        tokens: The tokens of all turns.
    """

    wanted: dict[str, JsonValue] = Field(default_factory=dict)
    tokens: int = 0


class ChatService:
    """Keeps a Chat with its turns and an OrchestrationState for each conversation. Each run has namespaces of its own.

    In a real service, separate processes count the sequence, meter the tokens and run the tools. Here each of these
    parts has a manager of its own, and they share only the storage.

    Args:
        storage: Where the sessions are kept.
    """

    def __init__(self, storage: StorageProvider) -> None:
        run = f"demo-{secrets.token_hex(6)}"
        self.namespaces: Sequence[str] = (f"{run}-chat", f"{run}-orchestration")
        chat, orchestration = self.namespaces
        self.chats = SessionManager(_new_chat, storage, chat, state_type=Chat, item_type=Line, ttl=TTL)
        self.sequencer, self.meter, self.toolbox = (
            OrchestrationStateManager(storage, orchestration, ttl=TTL) for _ in range(3)
        )

    async def begin(self, session_id: str) -> None:
        """Creates the sessions of a conversation."""
        await together(self._create_chat(session_id), self.sequencer.get_or_create_state(session_id))

    async def take(self, session_id: str, turn: Turn) -> None:
        """Stores a turn, with concurrent updates of both sessions."""
        await together(
            self._append(session_id, turn),
            self.sequencer.advance_sequence(session_id),
            self._meter(session_id, turn),
            self._note_tools(session_id, turn.tools),
        )

    async def _create_chat(self, session_id: str) -> None:
        (await self.chats.create_session(session_id, origin={"from": "sessionstore demo"})).unwrap()

    async def _append(self, session_id: str, turn: Turn) -> None:
        def learn(chat: Chat) -> None:
            chat.wanted |= turn.states
            chat.tokens += turn.tokens

        line = Line(speaker=turn.speaker, utterance=turn.utterance)
        (await self.chats.update_session(session_id, learn, append=[line])).unwrap()

    async def _meter(self, session_id: str, turn: Turn) -> None:
        prompt, completion = (turn.tokens, 0) if turn.speaker == "USER" else (0, turn.tokens)
        await self.meter.add_token_usage(session_id, prompt_tokens=prompt, completion_tokens=completion)

    async def _note_tools(self, session_id: str, tools: Sequence[str]) -> None:
        for tool in tools:  # one after the other, because the order of the tools is part of the state
            await self.toolbox.add_used_tool(session_id, tool)


async def together(*jobs: Coroutine[Any, Any, object]) -> None:
    """Runs coroutines concurrently to their end. Then raises the first error unchanged.

    A TaskGroup would cancel the others in the middle of writes, and the outcome of these writes would be unknown.
    """
    for outcome in await asyncio.gather(*jobs, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _new_chat(session_id: str) -> Chat:
    return Chat(session_id=session_id)
