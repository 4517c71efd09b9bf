"""LangGraph's AsyncPostgresSaver: the checkpoints of a graph's threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from ..contestant import POOL_SIZE, Contestant
from ..server import libpq_url
from ..states import Change, State, make_state

_CHANNEL = "state"


class LangGraphSaver(Contestant):
    """`aget_tuple()` of the newest checkpoint, then `aput()` of the next one."""

    packages = ("langgraph-checkpoint-postgres",)
    job = "appends a checkpoint; no TTL; concurrent writers fork"
    note = (
        "`AsyncPostgresSaver` on a pool; the state is one channel of the newest checkpoint, and a write is a new "
        "checkpoint and a new blob. All of them stay."
    )

    async def setup(self) -> None:
        await self.open()
        await self.saver.setup()
        await self.close()

    async def open(self) -> None:
        pool = AsyncConnectionPool(
            libpq_url(self.database.url),
            min_size=POOL_SIZE,
            max_size=POOL_SIZE,
            kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
            open=False,
        )
        self.saver = AsyncPostgresSaver(await self.stack.enter_async_context(pool))

    async def load(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            await self._put(_config(session), make_state(session), None)

    async def get(self, session: str) -> State:
        found = await self.saver.aget_tuple(_config(session))
        state: State = found.checkpoint["channel_values"][_CHANNEL]
        return state

    async def read_modify_write(self, session: str, change: Change) -> None:
        found = await self.saver.aget_tuple(_config(session))
        state = change(found.checkpoint["channel_values"][_CHANNEL])
        await self._put(found.config, state, found.checkpoint["channel_versions"][_CHANNEL])

    async def _put(self, config: dict[str, Any], state: State, version: str | None) -> None:
        versions = {_CHANNEL: self.saver.get_next_version(version, None)}
        checkpoint = empty_checkpoint() | {
            "channel_values": {_CHANNEL: state},
            "channel_versions": versions,
            "updated_channels": [_CHANNEL],
        }
        metadata = {"source": "update", "step": state["n"], "parents": {}}
        await self.saver.aput(config, checkpoint, metadata, versions)


def _config(session: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": session, "checkpoint_ns": ""}}
