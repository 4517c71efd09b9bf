"""This library as a key-value store, through py-key-value's protocol."""

from __future__ import annotations

from collections.abc import Sequence

from sessionstore.integrations.key_value import StoredKeyValue

from ..contestant import NAMESPACE, TTL
from ..states import Change, State, make_state
from .library_asyncpg import LibraryAsyncpg


class KeyValue(LibraryAsyncpg):
    """`get()`, then `put()`, as py-key-value's own store does."""

    packages = ("sessionstore", "py-key-value-aio")
    job = "last write wins; a read does not extend the TTL"
    note = (
        "`StoredKeyValue` on `open_storage()` with `postgresql+asyncpg://`: `get()`, and `put()` with a TTL of 30 "
        "minutes, to compare with py-key-value's `PostgreSQLStore`."
    )

    async def open(self) -> None:
        await super().open()
        self._store = StoredKeyValue(self.storage, default_collection=NAMESPACE)

    async def load(self, sessions: Sequence[str]) -> None:
        await self._store.put_many(sessions, [*map(make_state, sessions)], ttl=TTL.total_seconds())

    async def get(self, session: str) -> State:
        state = await self._store.get(session)
        assert state is not None
        return state

    async def read_modify_write(self, session: str, change: Change) -> None:
        await self._store.put(session, change(await self.get(session)), ttl=TTL.total_seconds())
