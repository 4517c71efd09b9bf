"""Django's database-backed sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any, TypeVar, cast

import django
from django.conf import settings
from sqlalchemy.engine import make_url

from sessionstore.testing.postgres import Database

from ..contestant import POOL_SIZE, TTL, Contestant
from ..states import Change, State, make_state

R = TypeVar("R")


class DjangoSession(Contestant):
    """`SessionStore`, in threads, as a service with that many threads would use it."""

    packages = ("django",)
    job = "last write wins; a read does not extend the TTL"
    note = (
        f"`django.contrib.sessions.backends.db`, which is synchronous, in {POOL_SIZE} threads with a lasting "
        "connection each (`CONN_MAX_AGE=None`); `SESSION_COOKIE_AGE` of 30 minutes."
    )

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        url = make_url(database.url)
        settings.configure(
            INSTALLED_APPS=["django.contrib.sessions"],
            SECRET_KEY="made up for a benchmark",  # noqa: S106
            SESSION_COOKIE_AGE=int(TTL.total_seconds()),
            USE_TZ=True,
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.postgresql",
                    "NAME": url.database,
                    "USER": url.username or "",
                    "PASSWORD": url.password or "",
                    "HOST": url.host or cast("str", url.query.get("host", "")),
                    "PORT": str(url.port or ""),
                    "CONN_MAX_AGE": None,
                }
            },
        )
        django.setup()
        self._keys: dict[str, str] = {}

    async def setup(self) -> None:
        from django.core.management import call_command

        await self.open()
        await self._in_thread(lambda: call_command("migrate", verbosity=0))
        await self.close()

    async def open(self) -> None:
        # Models can be loaded only now that there are settings.
        from django.contrib.sessions.backends.db import SessionStore
        from django.db import connections

        self._session_store: Any = SessionStore
        self._connections: Any = connections
        self._threads = ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="django")
        self.stack.push_async_callback(self._end_threads)

    async def load(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            self._keys[session] = await self._in_thread(partial(self._create, session))

    async def get(self, session: str) -> State:
        key = self._keys[session]
        return await self._in_thread(lambda: cast("State", self._session_store(key).load()))

    async def read_modify_write(self, session: str, change: Change) -> None:
        key = self._keys[session]
        await self._in_thread(lambda: self._save(key, change))

    def _create(self, session: str) -> str:
        # Django chooses the keys of new sessions itself.
        store = self._session_store()
        store.update(make_state(session))
        store.create()
        return str(store.session_key)

    def _save(self, key: str, change: Change) -> None:
        store = self._session_store(key)
        change(store)
        store.save()

    async def _in_thread(self, call: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _end_threads(self) -> None:
        """Closes each thread's connection, which only that thread can."""
        everybody = Barrier(POOL_SIZE)

        def close() -> None:
            everybody.wait()
            self._connections.close_all()

        await asyncio.gather(*(self._in_thread(close) for _ in range(POOL_SIZE)))
        await asyncio.to_thread(self._threads.shutdown)
