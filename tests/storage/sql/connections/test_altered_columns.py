"""Columns that another program removed or gave another type: an error that names the column, and no driver's error."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SchemaError, SessionManager, SessionStoreError, StorageProvider, open_storage
from sessionstore.storage import Key
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import key
from tests.support.bystander import ask
from tests.support.databases import driven

_ALTERED = [
    ("sessions", "version", "numeric"),
    ("sessions", "version", "double precision"),
    ("sessions", "version", "text"),
    ("sessions", "item_count", "numeric"),
    ("sessions", "state", "json"),
    ("sessions", "state", "text"),
    ("sessions", "ttl", "text"),
    ("sessions", "updated_at", "timestamp"),
    ("sessions", "expires_at", "text"),
    ("sessions", "writes", "bytea"),
    ("sessions", "state_version", "numeric"),
    ("items", "position", "numeric"),
    ("items", "item", "jsonb"),
    ("items", "created_at", "date"),
    ("deletions", "deleted_at", "timestamp"),
]


def alter(postgres: Database, table: str, column: str, type_: str) -> None:
    how = f"{column}::text::bytea" if type_ == "bytea" else f"{column}::{type_}"
    ask(postgres, f"ALTER TABLE sessionstore.{table} ALTER {column} DROP DEFAULT")
    ask(postgres, f"ALTER TABLE sessionstore.{table} ALTER {column} TYPE {type_} USING {how}")


@pytest.mark.parametrize(("table", "column", "type_"), _ALTERED)
async def test_a_column_of_another_type_is_named_at_the_first_call(
    postgres: Database, driver: str, table: str, column: str, type_: str
) -> None:
    alter(postgres, table, column, type_)
    async with open_storage(driven(postgres.url, driver)) as storage:
        for call in (storage.exists, storage.delete):
            with pytest.raises(SchemaError, match=f"the column '{column}' of '{table}' has the type {type_}.*ALTER"):
                await call(_key())


@pytest.mark.parametrize(("table", "column", "type_"), _ALTERED)
async def test_a_column_that_gets_another_type_under_a_service_leads_to_no_foreign_error(
    postgres: Database, driver: str, table: str, column: str, type_: str
) -> None:
    async with open_storage(driven(postgres.url, driver)) as storage:
        kind: SessionManager[Any] = SessionManager(lambda _: {"n": 0}, storage, "altered")
        (await kind.create_session("s", items=[1, 2])).unwrap()
        await _use(kind, storage)
        alter(postgres, table, column, type_)
        for _ in range(2):
            await _use(kind, storage)
        with pytest.raises(SchemaError, match=f"the column '{column}' of '{table}' has the type {type_}"):
            await storage.check()


@pytest.mark.parametrize("type_", ["varchar(300)", "text"])
async def test_a_text_may_be_bounded(postgres: Database, driver: str, type_: str) -> None:
    alter(postgres, "sessions", "owner_id", type_)
    async with open_storage(driven(postgres.url, driver)) as storage:
        assert not await storage.exists(_key())


async def test_a_column_that_is_gone_is_named(postgres: Database, driver: str) -> None:
    async with open_storage(driven(postgres.url, driver)) as storage:
        assert not await storage.exists(_key())
        ask(postgres, "ALTER TABLE sessionstore.sessions DROP COLUMN origin")
        with pytest.raises(SchemaError, match="the column 'origin' of 'sessions' is missing"):
            await storage.get(_key())
    async with open_storage(driven(postgres.url, driver)) as storage:
        with pytest.raises(SchemaError, match="the column 'origin' of 'sessions' is missing"):
            await storage.exists(_key())


async def test_a_column_of_a_file_that_has_another_type_is_named(sqlite_template: Path, tmp_path: Path) -> None:
    path = copied_file(sqlite_template, tmp_path / "sessions.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'version INTEGER', 'version REAL')")
    async with open_storage(sqlite_url(path)) as storage:
        with pytest.raises(SchemaError, match="the column 'version' of 'sessions' has the type REAL, and not INTEGER"):
            await storage.exists(_key())


def _key() -> Key:
    return key("s", "altered")


async def _use(kind: SessionManager[Any], storage: StorageProvider) -> None:
    """Makes calls of each kind, alone and together. Errors are of this library."""
    calls: tuple[Callable[[], Awaitable[Any]], ...] = (
        kind.create_session,
        lambda: kind.get_session("s", last_items=1),
        lambda: kind.update_session("s", lambda state: {"n": state["n"] + 1}, append=[1]),
        lambda: kind.update_session("s", lambda state: {"n": state["n"] + 1}, idempotency_key="k"),
        lambda: kind.append_items("s", [1]),
        lambda: kind.pop_items("s"),
        lambda: kind.fork_session("s"),
        lambda: kind.list_sessions(states=True),
        storage.purge_expired,
        lambda: storage.delete(_key()._replace(session_id="t")),
    )
    for call in calls:
        answers = await asyncio.gather(*(call() for _ in range(2)), return_exceptions=True)
        assert all(isinstance(it, SessionStoreError) for it in answers if isinstance(it, BaseException)), answers
