"""LangGraph's AsyncPostgresStore: a key-value store for the memories of agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from langgraph.store.postgres import AsyncPostgresStore

from ..contestant import NAMESPACE, POOL_SIZE, TTL, Contestant
from ..server import libpq_url
from ..states import Change, State, make_state


class LangGraphStore(Contestant):
    """`aget()`, then `aput()`."""

    packages = ("langgraph-checkpoint-postgres",)
    job = "last write wins"
    note = (
        "`AsyncPostgresStore.from_conn_string()` with a pool; `aget()` and `aput()`, combined into batches by itself. "
        "Its TTL is set to the same 30 minutes, so that a read writes a new expiry."
    )

    _place: ClassVar = (NAMESPACE,)

    async def setup(self) -> None:
        await self.open()
        await self.store.setup()
        await self.close()

    async def open(self) -> None:
        minutes = TTL.total_seconds() / 60
        self.store = await self.stack.enter_async_context(
            AsyncPostgresStore.from_conn_string(
                libpq_url(self.database.url),
                pool_config={"min_size": POOL_SIZE, "max_size": POOL_SIZE},
                ttl={"default_ttl": minutes, "refresh_on_read": True, "omit_expired": True},
            )
        )

    async def load(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            await self.store.aput(self._place, session, make_state(session))

    async def get(self, session: str) -> State:
        item = await self.store.aget(self._place, session)
        state: State = item.value
        return state

    async def read_modify_write(self, session: str, change: Change) -> None:
        # Those whose reads meet in a batch are given one and the same object.
        await self.store.aput(self._place, session, change(dict(await self.get(session))))
