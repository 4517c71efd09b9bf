"""py-key-value's PostgreSQLStore: a key-value store for many backends."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import asyncpg
from key_value.aio.stores.postgresql import PostgreSQLStore

from ..contestant import NAMESPACE, POOL_SIZE, TTL, Contestant
from ..server import libpq_url
from ..states import Change, State, make_state

# It says so each time that it is opened; here the note says it once.
warnings.filterwarnings("ignore", message="A configured store is unstable", category=UserWarning)


class PyKeyValue(Contestant):
    """`get()`, then `put()`."""

    packages = ("py-key-value-aio",)
    driver = "asyncpg"
    job = "last write wins; a read does not extend the TTL"
    note = "`PostgreSQLStore(pool=...)`, which calls itself unstable: `get()`, and `put()` with a TTL of 30 minutes."

    async def open(self) -> None:
        pool = await self.stack.enter_async_context(
            asyncpg.create_pool(libpq_url(self.database.url), min_size=POOL_SIZE, max_size=POOL_SIZE)
        )
        self._store = await self.stack.enter_async_context(PostgreSQLStore(pool=pool, default_collection=NAMESPACE))

    async def load(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            await self._store.put(session, make_state(session), ttl=TTL.total_seconds())

    async def get(self, session: str) -> State:
        state: State = await self._store.get(session)
        return state

    async def read_modify_write(self, session: str, change: Change) -> None:
        await self._store.put(session, change(await self.get(session)), ttl=TTL.total_seconds())
