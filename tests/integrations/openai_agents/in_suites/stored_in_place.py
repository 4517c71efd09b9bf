"""A pytest plugin for the SDK's own tests: `StoredSession` takes the place of the SDK's sessions.

The SDK's tests are in a package called `tests`, as ours are, so this module is imported by its own name and imports
nothing of our tests.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import agents
import agents.extensions.memory.async_sqlite_session
import agents.extensions.memory.sqlalchemy_session
import agents.memory
import pytest
from agents.items import TResponseInputItem
from agents.memory import SessionSettings
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import MemoryStorageProvider, StorageProvider, open_storage
from sessionstore.integrations.openai_agents import StoredSession

_URL = os.environ["STORED_IN_PLACE_URL"]
_STORAGE: StorageProvider = MemoryStorageProvider() if _URL == "memory://" else open_storage(_URL)
_ALL = 2**31 - 1


def _fresh() -> str:
    return uuid4().hex


class InPlaceOfSQLite(StoredSession):
    """Takes the arguments of SQLiteSession and AsyncSQLiteSession. Each file is a namespace."""

    def __init__(
        self,
        session_id: str,
        db_path: str | Path = ":memory:",
        sessions_table: str = "",
        messages_table: str = "",
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        namespace = _fresh() if str(db_path) == ":memory:" else str(db_path)[-255:]
        super().__init__(session_id, _STORAGE, namespace=namespace, session_settings=session_settings)

    def close(self) -> None:
        """The storage stays open."""


class InPlaceOfAsyncSQLite(InPlaceOfSQLite):
    """The same for AsyncSQLiteSession, whose close() is a coroutine."""

    async def close(self) -> None:  # type: ignore[override]
        """The storage stays open."""


class InPlaceOfSQLAlchemy(StoredSession):
    """Takes the arguments of SQLAlchemySession. Each URL is a namespace."""

    def __init__(
        self,
        session_id: str,
        *,
        engine: Any,
        create_tables: bool = False,
        sessions_table: str = "",
        messages_table: str = "",
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        self.engine = engine
        file = engine.url.database
        namespace = vars(engine.sync_engine).setdefault("in_place", _fresh()) if file == ":memory:" else file[-255:]
        super().__init__(session_id, _STORAGE, namespace=namespace, session_settings=session_settings)

    @classmethod
    def from_url(cls, session_id: str, *, url: str, **options: Any) -> InPlaceOfSQLAlchemy:
        """Makes a session beside an engine that is not used."""
        return cls(session_id, engine=create_async_engine(url), **options)


class InPlaceOfList(StoredSession):
    """Takes the arguments of SimpleListSession, each a conversation of its own, and mirrors what is stored."""

    def __init__(self, session_id: str = "test", history: list[TResponseInputItem] | None = None) -> None:
        super().__init__(session_id, _STORAGE, namespace=_fresh())
        self.session_settings = None
        self._ignore_ids_for_matching = False
        self._unsaved = list(history or [])
        self.saved_items: list[TResponseInputItem] = list(history or [])

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        await self._save()
        return await super().get_items(limit)

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        await self._save()
        await super().add_items(items)
        await self._mirror()

    async def pop_item(self) -> TResponseInputItem | None:
        await self._save()
        popped = await super().pop_item()
        await self._mirror()
        return popped

    async def clear_session(self) -> None:
        self._unsaved = []
        await super().clear_session()
        await self._mirror()

    async def _save(self) -> None:
        unsaved, self._unsaved = self._unsaved, []
        await super().add_items(unsaved)

    async def _mirror(self) -> None:
        self.saved_items[:] = await super().get_items(_ALL)


class InPlaceOfCounting(InPlaceOfList):
    """Counts the pops, as CountingSession does."""

    def __init__(self, session_id: str = "test", history: list[TResponseInputItem] | None = None) -> None:
        super().__init__(session_id, history)
        self.pop_calls = 0

    async def pop_item(self) -> TResponseInputItem | None:
        self.pop_calls += 1
        return await super().pop_item()


class InPlaceOfIdStripping(InPlaceOfCounting):
    """Stores items without their ids, as IdStrippingSession does."""

    def __init__(self, session_id: str = "test", history: list[TResponseInputItem] | None = None) -> None:
        super().__init__(session_id, history)
        self._ignore_ids_for_matching = True

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        stripped: list[Any] = [{name: it for name, it in dict(item).items() if name != "id"} for item in items]
        await super().add_items(stripped)


def _put_in_place() -> None:
    for module in (agents, agents.memory):
        module.__dict__["SQLiteSession"] = InPlaceOfSQLite
    agents.extensions.memory.sqlalchemy_session.SQLAlchemySession = InPlaceOfSQLAlchemy  # type: ignore[misc, assignment]
    agents.extensions.memory.async_sqlite_session.AsyncSQLiteSession = InPlaceOfAsyncSQLite  # type: ignore[misc, assignment]


_put_in_place()


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Replaces the list and what derives from it, once the SDK's tests can be imported."""
    from tests.utils import simple_session  # type: ignore[import-untyped]

    simple_session.SimpleListSession = InPlaceOfList
    simple_session.CountingSession = InPlaceOfCounting
    simple_session.IdStrippingSession = InPlaceOfIdStripping
