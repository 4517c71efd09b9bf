"""Litestar's server-side sessions on Advanced Alchemy: SQLAlchemyAsyncSessionBackend."""

from __future__ import annotations

from collections.abc import Sequence

from advanced_alchemy.config import EngineConfig
from advanced_alchemy.extensions.litestar import SQLAlchemyAsyncConfig
from advanced_alchemy.extensions.litestar.session import SessionModelMixin, SQLAlchemyAsyncSessionBackend
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.stores.memory import MemoryStore

from ..contestant import POOL_SIZE, TTL, Contestant
from ..states import Change, State, make_state


class WebSession(SessionModelMixin):
    """The model that its documentation lets users write."""

    __tablename__ = "web_session"


class LitestarSession(Contestant):
    """`get()` and `set()` with what the middleware calls around them."""

    packages = ("litestar", "advanced-alchemy")
    driver = "asyncpg"
    job = "last write wins"
    note = (
        "`SQLAlchemyAsyncSessionBackend`: `get()` and `deserialize_data()`, `serialize_data()` and `set()`, as "
        "Litestar's middleware calls them. Max age 30 minutes; a read writes a new expiry."
    )

    async def setup(self) -> None:
        await self.open()
        async with self._alchemy.get_engine().begin() as connection:
            await connection.run_sync(WebSession.metadata.create_all)
        await self.close()

    async def open(self) -> None:
        self._alchemy = SQLAlchemyAsyncConfig(
            connection_string=self.database.asyncpg_url,
            engine_config=EngineConfig(pool_size=POOL_SIZE, max_overflow=0),
        )
        self._backend = SQLAlchemyAsyncSessionBackend(
            config=ServerSideSessionConfig(max_age=int(TTL.total_seconds())),
            alchemy_config=self._alchemy,
            model=WebSession,
        )
        # The middleware passes the application's store, which this backend does not use.
        self._store = MemoryStore()
        self.stack.push_async_callback(self._alchemy.get_engine().dispose)

    async def load(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            await self._set(session, make_state(session))

    async def get(self, session: str) -> State:
        state: State = self._backend.deserialize_data(await self._backend.get(session, self._store))
        return state

    async def read_modify_write(self, session: str, change: Change) -> None:
        await self._set(session, change(await self.get(session)))

    async def _set(self, session: str, state: State) -> None:
        await self._backend.set(session, self._backend.serialize_data(state), self._store)
