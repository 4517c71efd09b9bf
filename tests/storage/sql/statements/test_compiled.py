"""Statements are compiled when they are needed, and once for all storages that send the same."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Dialect, select, true
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import open_storage
from sessionstore.storage.sql import SqlStorageProvider
from sessionstore.storage.sql.drivers import prepared
from sessionstore.storage.sql.drivers.driver import Aiosqlite
from sessionstore.storage.sql.drivers.prepared import Compiled, Prepared, Statement
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import draft, key

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def opened(url: str = NOWHERE, **options: Any) -> SqlStorageProvider:
    storage = open_storage(url, **options)
    assert isinstance(storage, SqlStorageProvider)
    return storage


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that were compiled since."""
    texts: list[str] = []
    real = prepared._compiled

    def noted(statement: Statement, dialect: Dialect) -> Compiled:
        made = real(statement, dialect)
        texts.append(made.sql)
        return made

    monkeypatch.setattr(prepared, "_compiled", noted)
    return texts


@pytest.mark.parametrize("url", [NOWHERE, NOWHERE.replace(":", "+asyncpg:", 1), "sqlite+aiosqlite:///nothing.db"])
def test_opening_a_storage_compiles_nothing(url: str, compiled: list[str]) -> None:
    opened(url, **({} if url.startswith("sqlite") else {"schema": "of_this_test"}))
    assert compiled == []


def test_storages_of_one_schema_share_their_statements() -> None:
    service = create_async_engine(NOWHERE.replace(":", "+psycopg:", 1), paramstyle="pyformat", label_length=20)
    assert opened()._statements is opened(NOWHERE.replace("nothing", "other"))._statements
    assert SqlStorageProvider(service)._statements is opened()._statements


def test_storages_that_send_other_statements_share_none() -> None:
    storages = [
        opened(),
        opened(schema="other"),
        opened(NOWHERE.replace(":", "+asyncpg:", 1)),
        opened("sqlite+aiosqlite:///nothing.db"),
    ]
    assert len({id(storage._statements) for storage in storages}) == len(storages)
    assert "other.sessions" in storages[1]._statements.get.one.compiled.sql


async def test_statements_that_a_storage_compiled_are_not_compiled_again(
    tmp_path: Path, sqlite_template: Path, compiled: list[str]
) -> None:
    url = sqlite_url(copied_file(sqlite_template, tmp_path / "sessions.db"))
    for _ in range(2):
        compiled.clear()
        async with opened(url) as storage:
            await storage.set(draft())
            await storage.get(key())
    assert [sql for sql in compiled if "sessions." in sql] == []


def test_a_thread_in_the_middle_of_compiling_holds_up_no_other() -> None:
    # A child that is forked then would wait for that thread, which it does not have, forever.
    begun, go_on = threading.Event(), threading.Event()
    driver = Aiosqlite(create_async_engine("sqlite+aiosqlite://").dialect)

    def build() -> Statement:
        if not begun.is_set():
            begun.set()
            go_on.wait(60)
        return select(true())

    statement = Prepared(build, driver)
    with ThreadPoolExecutor() as threads:
        stopped = threads.submit(lambda: statement.compiled)
        begun.wait(60)
        try:
            compiled = threads.submit(lambda: statement.compiled).result(20)
        finally:
            go_on.set()
        assert compiled.sql == stopped.result().sql
