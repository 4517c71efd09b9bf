"""LangGraph's AsyncPostgresSaver: messages are a channel of the newest checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from ..contestants.langgraph_saver import LangGraphSaver, _config
from ..states import change
from .conversations import Conversations, message, newest, small_state


class LangGraphConversations(LangGraphSaver, Conversations):
    """`aget_tuple()`, then `aput()` of the next checkpoint, with all messages."""

    job = "one channel, rewritten by each turn, all versions stay; concurrent writers lose messages"
    note = "`AsyncPostgresSaver`: a turn is `aget_tuple()`, and `aput()` of the channel with two messages more."

    async def begin(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            await self._put(_config(session), small_state(session) | {"messages": []}, None)

    async def grow(self, session: str, count: int) -> None:
        await self._add(session, count)

    async def append(self, session: str) -> None:
        await self._add(session, 1)

    async def converse(self, session: str) -> None:
        await self._add(session, 2)

    async def length(self, session: str) -> int:
        return len((await self.get(session))["messages"])

    async def _add(self, session: str, count: int) -> None:
        found = await self.saver.aget_tuple(_config(session))
        state = found.checkpoint["channel_values"]["state"]
        newest(state["messages"])
        state = change(state) | {"messages": [*state["messages"], *(message() for _ in range(count))]}
        await self._put(found.config, state, found.checkpoint["channel_versions"]["state"])
