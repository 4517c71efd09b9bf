"""This library, without asyncio: on uvloop, and on the event loop of asyncio."""

from __future__ import annotations

import sys
from typing import ClassVar
from unittest.mock import patch

from sessionstore.sync import SessionManager, open_storage

from ..contestant import NAMESPACE, TTL
from ..states import Change, State, make_state
from .threaded import Threaded


class Library(Threaded):
    """`sessionstore.sync`, as docs/sync.md has it."""

    job: ClassVar[str] = "psycopg, uvloop"

    @property
    def url(self) -> str:
        """Names the driver."""
        return self.database.url

    def open(self) -> None:
        storage = self.stack.enter_context(open_storage(self.url))
        self.sessions = SessionManager(make_state, storage, NAMESPACE, ttl=TTL)

    def get(self, session: str) -> State:
        return self.sessions.get_session(session).unwrap()

    def read_modify_write(self, session: str, change: Change) -> None:
        self.sessions.update_session(session, change).unwrap()


class LibraryOnAsyncio(Library):
    """The same where uvloop is not installed."""

    job: ClassVar[str] = "psycopg, without uvloop"

    def open(self) -> None:
        self.stack.enter_context(patch.dict(sys.modules, {"uvloop": None}))
        super().open()


class LibraryAsyncpg(Library):
    """The same with `postgresql+asyncpg://`."""

    job: ClassVar[str] = "asyncpg, uvloop"

    @property
    def url(self) -> str:
        return self.database.asyncpg_url
