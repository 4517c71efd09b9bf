"""The OpenAI Agents SDK's SQLAlchemySession: the messages of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.extensions.memory import SQLAlchemySession
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import create_async_engine

from ..contestant import POOL_SIZE, Contestant
from ..states import MESSAGES, Change, State, make_state

_COUNT = text("SELECT count(*) FROM agent_messages WHERE session_id IN :sessions").bindparams(
    bindparam("sessions", expanding=True)
)


class OpenAIAgents(Contestant):
    """`get_items()`, then `add_items()`, as the SDK's runner does in a turn."""

    packages = ("openai-agents",)
    driver = "asyncpg"
    job = "appends a message, changes none; no TTL"
    note = (
        f"`SQLAlchemySession`, an object for each session: `get_items(limit={MESSAGES})` reads 2 KB of messages, "
        "`add_items()` appends one of 250 bytes. An update is a message, so messages are counted."
    )

    async def setup(self) -> None:
        await self.open()
        await SQLAlchemySession("setup", engine=self._engine, create_tables=True).get_items()
        await self.close()

    async def open(self) -> None:
        self._engine = create_async_engine(self.database.asyncpg_url, pool_size=POOL_SIZE, max_overflow=0)
        self.stack.push_async_callback(self._engine.dispose)
        self._sessions: dict[str, Any] = {}

    async def load(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            await self._session(session).add_items(make_state(session)["messages"])

    async def get(self, session: str) -> State:
        return {"messages": await self._session(session).get_items(limit=MESSAGES)}

    async def read_modify_write(self, session: str, change: Change) -> None:
        state = await self.get(session)
        await self._session(session).add_items([dict(state["messages"][0])])

    async def count(self, sessions: Sequence[str]) -> int:
        async with self._engine.connect() as connection:
            found = await connection.execute(_COUNT, {"sessions": list(sessions)})
            return int(found.scalar_one()) - MESSAGES * len(sessions)

    def _session(self, session: str) -> Any:
        if session not in self._sessions:
            self._sessions[session] = SQLAlchemySession(session, engine=self._engine)
        return self._sessions[session]
