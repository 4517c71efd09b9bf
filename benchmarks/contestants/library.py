"""This library, through psycopg."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar

from sessionstore import Batching, SessionManager, open_storage
from sessionstore.testing.postgres import Database

from ..contestant import NAMESPACE, TTL, Contestant
from ..states import Change, State, make_state


class Library(Contestant):
    """`SessionManager` on `open_storage()`, as the README has it."""

    packages: ClassVar[tuple[str, ...]] = ("sessionstore",)
    note = (
        "`get_session()`, `update_session()`; a TTL of 30 minutes that slides with every access. What it wrote within "
        "the last second it takes as read."
    )
    batching: ClassVar = Batching()

    def __init__(
        self, database: Database, *, schema: str = "sessionstore", clock: Callable[[], datetime] | None = None
    ) -> None:
        super().__init__(database)
        self.schema = schema
        self._clock = clock

    @property
    def url(self) -> str:
        return self.database.url

    async def setup(self) -> None:
        await asyncio.to_thread(self.database.migrate, schema=self.schema)

    async def open(self) -> None:
        storage = open_storage(self.url, schema=self.schema, clock=self._clock, batching=self.batching)
        self.storage = await self.stack.enter_async_context(storage)
        self.sessions = SessionManager(make_state, self.storage, NAMESPACE, ttl=TTL)

    async def load(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            (await self.sessions.create_session(session)).unwrap()

    async def get(self, session: str) -> State:
        return (await self.sessions.get_session(session)).unwrap()

    async def read_modify_write(self, session: str, change: Change) -> None:
        (await self.sessions.update_session(session, change)).unwrap()
